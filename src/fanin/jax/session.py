"""One measured run: what is compiled of a model, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from fanin.checks.tiers import Clock
from fanin.errors import FaninError, ModelError, explain
from fanin.jax.flow import seats_of
from fanin.jax.layouts import layouts_of
from fanin.jax.losses import Asked
from fanin.jax.models import Subject
from fanin.jax.passes import Measured, Passes, direction, smooth, total
from fanin.jax.recording import Recording
from fanin.jax.statistics import table_of
from fanin.jax.targets import Outputs
from fanin.records.graph import Graph, Node, OpKind

__all__ = ["Session"]

_COMPUTED = {
    *(OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.ATTENTION, OpKind.EMBEDDING, OpKind.RECURRENCE),
    *(OpKind.NORM, OpKind.SOFTMAX, OpKind.ACTIVATION, OpKind.INPUT),
}
"""Kinds of nodes whose outputs are no masks and no masked scores."""
_SMALL = 1 << 20
"""Elements of all nodes together up to which code is compiled fast and runs slowly."""


class Session:
    """One measured run."""

    def __init__(
        self,
        subject: Subject,
        recording: Recording,
        graph: Graph,
        outputs: Outputs,
        loss: Asked | None,
        *,
        seed: int,
        apart: bool,
        clock: Clock,
    ) -> None:
        self.subject, self.recording, self.graph = subject, recording, graph
        self.outputs, self.loss, self.clock = outputs, loss, clock
        self._generator = np.random.default_rng(seed)
        self.seats = seats_of(recording)
        self.own = apart and loss is not None
        self.nodes = {node.id: node for node in self._every_node()}
        self.layouts = layouts_of(graph, self.nodes, recording)
        softmax = {n.id for n in graph.nodes if n.kind == OpKind.SOFTMAX and len(n.shape) > 1}
        active = {n.id for n in graph.nodes if n.kind == OpKind.ACTIVATION}
        self.passes = Passes(
            recording=recording,
            seats=self.seats,
            layouts=self.layouts,
            active=frozenset(active & self.layouts.keys()),
            masked=_masked(graph),
            weights=frozenset(softmax & self.layouts.keys()),
            taps=tuple(
                id
                for id in self.layouts
                if self.seats.of(id) not in self.seats.inner and self.nodes[id].kind != OpKind.INPUT
            ),
            trained=tuple(
                k for k, leaf in enumerate(subject.leaves) if not leaf.buffer and smooth(leaf.value)
            ),
            loss=loss.value if self.own and loss is not None else None,
            silent=loss.value if loss is not None and loss.foreign else None,
        )
        self.values = [leaf.value for leaf in subject.leaves]
        self.arguments = (self.values, list(subject.inputs), self.passes.constants())
        self._tables = table_of(self.layouts)

    def _every_node(self) -> list[Node]:
        """Nodes of the graph, and inputs that are none."""
        known = {node.id for node in self.graph.nodes}
        given = [
            Node(
                id=id, kind=OpKind.INPUT, op="input", inputs=(), module="",
                shape=self.recording.ops[id].shape, dtype=self.recording.ops[id].dtype,
            )
            for id in self.recording.inputs
            if id not in known and not self.recording.ops[id].constant
        ]  # fmt: skip
        return sorted([*given, *self.graph.nodes], key=lambda node: node.id)

    # ------------------------------------------------------------------ passes
    def run(self) -> tuple[Measured, list[str]]:
        """Compile and run the passes; what came out, on the host, and notes on what could not be done."""
        notes: list[str] = []
        directions = self._directions()
        target = [] if self.loss is None else list(self.loss.target)
        if self.loss is not None and not self.own:
            notes.append("gradients at parameters are of a random direction, not of the loss")
        arguments: tuple[Any, ...] = (*self.arguments, self._tables, directions, target)
        try:
            compiled = self._compiled(self.passes.run, *arguments)
        except FaninError:
            raise
        except Exception as error:  # noqa: BLE001 - what cannot be differentiated raises what it will
            notes = [f"no backward pass: {_first_line(error)}"]
            arguments = (*self.arguments, self._tables)
            compiled = self._compiled(self.passes.only_forward, *arguments)
        with self.clock.part("the passes"):
            try:
                found: Measured = jax.device_get(compiled(*arguments))
            except Exception as error:
                raise _failed(error) from error
        self._past_a_zero_head(found, notes)
        return found, notes

    def _compiled(self, function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
        with self.clock.part("compiling"):
            lowered = jax.jit(function).lower(*arguments)
            small = sum(layout.size for layout in self.layouts.values()) <= _SMALL
            fast: dict[str, Any] = (
                {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" and small else {}
            )
            compiled: Callable[..., Any] = lowered.compile(compiler_options=fast)
            return compiled

    def _directions(self) -> list[dict[int, Any]]:
        """A random direction of the main output; and of the others, for what the first does not reach."""
        shapes, main = self.outputs.shapes, self.outputs.main
        others = [k for k in self.outputs.floating if k != main]
        found = [{main: direction(shapes[main].shape, shapes[main].dtype, self._generator)}]
        if not self.own and others and self.reached(others) - self.reached([main]):
            found.append({k: direction(shapes[k].shape, shapes[k].dtype, self._generator) for k in others})
        return found

    def reached(self, outputs: Sequence[int]) -> set[int]:
        """Places of the leaves that some outputs depend on."""
        ops = self.recording.ops
        ahead = [self.recording.outputs[k] for k in outputs]
        seen: set[int] = set()
        found: set[int] = set()
        while ahead:
            operand = ahead.pop()
            if operand.parameter is not None:
                found.add(operand.parameter)
            if operand.op is not None and operand.op not in seen:
                seen.add(operand.op)
                if ops[operand.op].name != "stop_gradient":
                    ahead += ops[operand.op].operands
        return found

    def _past_a_zero_head(self, found: Measured, notes: list[str]) -> None:
        """A head of zeros lets no gradient through; put the random direction on its input then."""
        values = {leaf.name: leaf.value for leaf in self.subject.leaves}
        heads = {
            use.node
            for p in self.graph.parameters
            for use in p.uses
            if use.head and use.axes is not None and not np.any(np.asarray(values[p.name]))
        }
        inputs = self.nodes[min(heads)].inputs if heads else ()
        start = next((i for i in inputs if i in self.passes.taps), None)
        reached = set() if start is None else self._behind(start)
        inner = [id for id in self.graph.path if id in reached and id in found.arrived]
        if start is None or not inner or any(total(found.arrived[id]) > 0.0 for id in inner):
            return
        op = self.recording.ops[start]
        cotangent = direction(op.shape, op.dtype, self._generator)
        behind = partial(self.passes.behind, start)
        arguments = (cotangent, *self.arguments)
        compiled = self._compiled(behind, *arguments)
        with self.clock.part("the passes"):
            again = jax.device_get(compiled(*arguments))
        found.arrived = {**found.arrived, **{id: size for id, size in again.items() if id in reached}}
        notes.append("the head is zero; gradients at nodes are of a random direction at its input")

    def _behind(self, node: int) -> set[int]:
        found, ahead = set[int](), [node]
        while ahead:
            id = ahead.pop()
            if id not in found:
                found.add(id)
                ahead += self.nodes[id].inputs if id in self.nodes else ()
        return found


def _masked(graph: Graph) -> frozenset[int]:
    """Nodes that lead to a softmax by adding and masking only: there minus infinity hides a place."""
    nodes = {node.id: node for node in graph.nodes}
    found: set[int] = set()
    ahead = [i for node in graph.nodes if node.kind == OpKind.SOFTMAX for i in node.inputs]
    while ahead:
        id = ahead.pop()
        if id not in found and id in nodes and nodes[id].kind not in _COMPUTED:
            found.add(id)
            ahead.extend(nodes[id].inputs)
    return frozenset(found)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"


def _failed(error: Exception) -> ModelError:
    if "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError):
        return ModelError(
            explain(
                "Memory ran out",
                received=_first_line(error),
                rule="A check holds the output of every layer at once, as training does",
                remedy="Give a smaller batch, or ask for tier='fast'",
            )
        )
    return ModelError(
        explain("The model fails on this batch", received=_first_line(error), remedy="Run it by itself first")
    )
