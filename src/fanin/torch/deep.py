"""The deep tier: what needs further passes through the model."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fanin.records.graph import Graph, OpKind
from fanin.records.trace import DeepMeasurement, Trace
from fanin.torch.curvature import half_batch_noise, sharpness
from fanin.torch.jacobian import kernel_condition, stretch
from fanin.torch.read import graph_of
from fanin.torch.record import record, unwrapped
from fanin.torch.recording import Recording
from fanin.torch.sandbox import keep_random_state, keep_state, keep_values
from fanin.torch.statistics import sum_of_squares
from fanin.torch.targets import Loss, loss_of
from fanin.torch.watch import Watcher

__all__ = ["Call", "deepen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A model and what it is called with."""

    model: nn.Module
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    target: Any = None
    loss: Callable[..., Any] | None = None

    def run(self, args: tuple[object, ...], kwargs: Mapping[str, object], target: Any) -> torch.Tensor | None:
        """Run once more, with operators that can be differentiated twice; the loss, or None without one."""
        with sdpa_kernel(SDPBackend.MATH):
            output = unwrapped(self.model)(*args, **kwargs)
        labels = kwargs.get("labels")
        made = loss_of(output, target, self.loss, labels if isinstance(labels, torch.Tensor) else None)
        return None if made is None else made.value

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[None]:
        """Everything that a run may touch is put back; the random states are the same in every run."""
        with keep_random_state(), keep_state(self.model), keep_values(self.model), torch.enable_grad():
            yield


def deepen(
    call: Call,
    graph: Graph,
    trace: Trace,
    watcher: Watcher,
    recording: Recording,
    main: torch.Tensor,
    loss: Loss | None,
    seed: int,
) -> Trace:
    """Add to a trace what needs passes of its own.

    Parameters
    ----------
    call
        Runs the model again.
    graph, trace, watcher, recording
        Of the first pass.
    main, loss
        Its output and loss, with their history.
    seed
        Of random directions.

    Returns
    -------
    Trace
        With `deep`, and with the other mode's power at each node. What fails is noted, and no reason
        for the rest to fail.
    """
    notes: list[str] = []
    generator = torch.Generator().manual_seed(seed)
    trained = [t.tensor for t in recording.tensors if t.tensor.requires_grad and t.tensor.is_floating_point()]
    found: dict[str, Any] = {}
    start = next(
        (watcher.kept[i] for i in graph.path if i in watcher.kept and watcher.kept[i].requires_grad), None
    )
    if main.requires_grad and start is not None:
        with _noted(notes, "the Jacobian"):
            found["stretch"], found["mean_stretch"] = stretch(main, start, generator)
    if main.requires_grad and trained:
        with _noted(notes, "the tangent kernel"):
            found["kernel_condition"], found["kernel_samples"] = kernel_condition(main, trained, generator)
    if loss is not None and trained:
        with _noted(notes, "the curvature"), call.borrowed():
            again = call.run(call.args, call.kwargs, call.target)
            if again is not None:
                found["sharpness"] = sharpness(again, trained, generator)
        with _noted(notes, "the gradient's noise"):
            found["noise"] = half_batch_noise(call, trained, trace.batch)
    elif loss is None:
        notes.append("without a loss there is no curvature and no noise to measure")
    with _noted(notes, "the other mode"):
        trace = _other_mode(call, graph, trace)
    return replace(trace, deep=DeepMeasurement(**found, notes=tuple(notes)))


@contextlib.contextmanager
def _noted(notes: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - further passes meet whatever the model has, and are extras
        notes.append(f"{what} could not be measured: {' '.join(str(error).split())[:200]}")


class _Powers:
    """An observer that notes powers, and keeps nothing."""

    def __init__(self) -> None:
        self.found: dict[int, float] = {}

    def after(self, id: int, output: torch.Tensor) -> None:
        numeric = output.is_floating_point() or output.is_complex()
        if numeric and output.layout is torch.strided and output.numel():
            with torch.no_grad():
                self.found[id] = sum_of_squares(output) / output.numel()

    def before_mutation(self, id: int, tensor: torch.Tensor) -> None:
        """Nothing to do: what was noted stays."""


def _other_mode(call: Call, graph: Graph, trace: Trace) -> Trace:
    """Powers with every module in the mode that it is not in now."""
    modes = {module: module.training for module in call.model.modules()}
    powers = _Powers()
    with call.borrowed():
        try:
            call.model.train(not call.model.training)
            recording = record(call.model, call.args, call.kwargs, engine="real", observer=powers)
            other = graph_of(recording, call.model)
        finally:
            for module, training in modes.items():
                module.training = training
    there = {key: powers.found.get(id) for id, key in _keys(other).items()}
    here = {id: there.get(key) for id, key in _keys(graph).items()}
    measured = tuple(replace(m, other_power=here.get(m.node)) for m in trace.measurements)
    return replace(trace, measurements=measured)


def _keys(graph: Graph) -> dict[int, tuple[object, ...]]:
    """What a node is called in both modes: where it runs, what it is, and the how manieth of these."""
    counts: dict[tuple[object, ...], int] = defaultdict(int)
    found: dict[int, tuple[object, ...]] = {}
    for node in graph.nodes:
        # Which operator an attention runs is a matter of its dropout.
        kind = () if node.kind == OpKind.ATTENTION else (node.op, node.shape)
        key = (node.module, node.call, node.kind, *kind)
        found[node.id] = (*key, counts[key])
        counts[key] += 1
    return found
