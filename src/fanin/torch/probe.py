"""Measure a model: one recorded forward pass, and what comes back."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fanin.checks.tiers import Clock, tier_of
from fanin.errors import ModelError, explain
from fanin.laws.bounds import Bounds, bounds
from fanin.records.graph import Graph, Node, OpKind
from fanin.records.trace import LossMeasurement, Measurement, Trace
from fanin.torch.backward import Backward, operators_so_far
from fanin.torch.deep import Call, deepen
from fanin.torch.ends import alike, output_node
from fanin.torch.features import measure_inputs
from fanin.torch.guards import memory_told, random_numbers, refuse_empty, refuse_kinds, refuse_weights
from fanin.torch.inputs import as_call
from fanin.torch.layouts import channels_of_inputs, unit_dims
from fanin.torch.read import graph_of
from fanin.torch.record import Recording, record
from fanin.torch.sandbox import keep_random_state, keep_state, without_collection
from fanin.torch.scores import scores
from fanin.torch.silent import beside_silence
from fanin.torch.statistics import dead_share, flat, numbers, sample, saturated_share, sum_of_squares
from fanin.torch.targets import Loss, loss_of, main_output
from fanin.torch.tensors import measure_parameters
from fanin.torch.watch import Watcher

__all__ = ["measure"]

_COMPUTED = {
    *(OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.ATTENTION, OpKind.EMBEDDING, OpKind.RECURRENCE),
    *(OpKind.NORM, OpKind.SOFTMAX, OpKind.ACTIVATION, OpKind.INPUT),
}
"""Kinds of nodes whose outputs are no masks and no masked scores."""


def measure(
    model: nn.Module,
    *inputs: object,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    seed: int = 0,
    tier: str = "standard",
    lr: float | None = None,
    clock: Clock | None = None,
) -> tuple[Graph, Trace]:
    """Run a model once forward and backward, and measure every node and parameter.

    The model is measured in its present mode, and is left as it was: parameters, buffers, ``.grad``
    fields, hooks, mode, and the random states of torch, NumPy and Python.

    Gradients at nodes are those of ``<r, output>`` for a random r of unit variance, so that they
    speak of the network and not of the loss; those of parameters are the loss's, if there is one.

    Parameters
    ----------
    model
        Any module with real weights.
    inputs
        A batch: positional arguments of the model, or one mapping of keyword arguments.
    target
        Integer classes (cross-entropy), floats (mean squared error), or what `loss` takes.
    loss
        ``loss(output, target)``; without it and without a target, the model's own loss counts if it
        returns one.
    seed
        Of the random direction r.
    tier
        "fast": one pass forward and one back, of the random direction only. "standard": the loss's pass
        back besides. "deep": what `fanin.torch.deep` measures, too.
    lr
        Learning rate of plain gradient descent that is meant to be taken: the trace carries it to the rules.
    clock
        Notes what each part took.

    Returns
    -------
    tuple of Graph and Trace

    Raises
    ------
    ModelError
        The model fails on this batch, computes nothing, returns no floating tensor, or has
        weights without values (meta device).
    InputError
        A target that does not fit the output, or no such tier.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> graph, trace = measure(model, torch.randn(16, 4), target=torch.arange(16) % 2)
    >>> trace.loss.classes
    2
    """
    if isinstance(model, nn.Module):
        refuse_weights(model)
    depth, clock = tier_of(tier), clock or Clock()
    args, kwargs = as_call(inputs)
    refuse_kinds((args, kwargs))
    watcher = Watcher()
    with contextlib.ExitStack() as stack:
        # Outermost: everything is put back before memory is spoken of, wherever it ran out.
        stack.enter_context(memory_told())
        stack.enter_context(keep_random_state())
        stack.enter_context(without_collection())
        if torch.get_default_device().type == "meta":
            # New tensors would have no values: a run with values is meant to have some.
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if isinstance(model, nn.Module):
            stack.enter_context(keep_state(model))
        since = operators_so_far()
        with clock.part("forward"):
            recording = record(model, args, kwargs, engine="real", observer=watcher)
        refuse_empty(recording)
        with clock.part("statistics"):
            output = recording.returned
            main = main_output(output)
            exact = not _all_finite(main, recording, watcher)
        if exact and watcher.overwritten:
            # Where the first NaN is may be a matter of what was overwritten.
            watcher = Watcher(exact=True)
            with clock.part("forward"):
                recording = record(model, args, kwargs, engine="real", observer=watcher)
            output = recording.returned
            main = main_output(output)
        with clock.part("statistics"):
            graph = graph_of(recording, model)
        if not any(node.kind != OpKind.INPUT for node in graph.nodes):
            raise ModelError(
                explain(
                    "Nothing was captured, so nothing can be said about this model",
                    received=f"{len(recording.ops)} operators and no node",
                    rule="The model computes its output from its inputs with torch operators",
                )
            )
        with clock.part("statistics"):
            back = Backward(watcher, recording.tensors, graph, main, output, since)
            trace = _trace(graph, recording, watcher, main, exact=exact)
            if depth != "deep":
                # What no backward pass needs makes room for its gradients.
                watcher.kept.clear()
        with clock.part("backward"):
            made = loss_of(output, target, loss, _labels(kwargs))
            made = made and beside_silence(made, output, target, loss)
            back.run(made, seed, apart=depth != "fast")
        if depth != "fast":
            with clock.part("the loss's pass back"):
                back.learn(made, keep=depth == "deep")
        with clock.part("statistics"):
            trace = replace(_completed(trace, graph, recording, back, made), tier=depth, lr=lr)
        if depth == "deep":
            with clock.part("deep"):
                call = Call(model=model, args=args, kwargs=kwargs, target=target, loss=loss)
                trace = deepen(call, graph, trace, watcher, recording, main, made, seed)
        return graph, trace


def _labels(kwargs: Mapping[str, object]) -> torch.Tensor | None:
    labels = kwargs.get("labels")
    return labels if isinstance(labels, torch.Tensor) else None


def _trace(graph: Graph, recording: Recording, watcher: Watcher, main: torch.Tensor, *, exact: bool) -> Trace:
    """What the forward pass says."""
    batch = next((op.shape[0] for op in recording.ops if op.name == "input" and op.shape), None)
    batch = batch if batch is not None else (main.shape[0] if main.ndim else 1)
    first = unit_dims(graph, recording)
    channels = channels_of_inputs(graph, recording, first)
    limits = [bounds(a.values) for a in graph.activations]
    masked = _scores(graph)
    measured = []
    known = {node.id for node in graph.nodes}

    def look(node: Node) -> Measurement:
        return _measured(node, watcher, first, limits, masked, exact=exact)

    with torch.no_grad():
        for op in recording.ops:
            if op.name == "input" and op.id not in known and op.id in watcher.kept:
                node = Node(
                    id=op.id, kind=OpKind.INPUT, op="input", inputs=(), module="", shape=op.shape, dtype=""
                )
                near = alike(graph, op.id, watcher.kept[op.id], channels.get(op.id))
                measured.append(replace(look(node), near=near))
        for node in graph.nodes:
            if node.id in watcher.kept and watcher.kept[node.id].numel():
                found = look(node)
                if node.kind == OpKind.INPUT:
                    found = replace(
                        found, near=alike(graph, node.id, watcher.kept[node.id], channels.get(node.id))
                    )
                spread = scores(node, recording.ops[node.id], watcher.kept)
                if spread is not None:
                    found = replace(found, entropy=spread[0], score_std=spread[1])
                measured.append(found)
        given = {op.id: x for op in recording.ops[:32] if (x := watcher.input(op)) is not None}
        inputs = measure_inputs(recording, given, channels)
    return Trace(
        batch=batch,
        source="the given batch",
        mode=recording.mode,
        measurements=tuple(sorted(measured, key=lambda m: m.node)),
        parameters=(),
        notes=random_numbers(recording),
        inputs=inputs,
        output=output_node(recording, graph, watcher.kept, main),
    )


def _completed(trace: Trace, graph: Graph, recording: Recording, back: Backward, loss: Loss | None) -> Trace:
    """And what came back."""
    size = max(trace.batch, 1)
    powers = {id: power / size for id, power in back.powers.items() if not math.isnan(power)}
    with torch.no_grad():
        parameters = measure_parameters(graph, recording.tensors, back.gradients)
    return replace(
        trace,
        measurements=tuple(replace(m, gradient_power=powers.get(m.node)) for m in trace.measurements),
        parameters=parameters,
        loss=None if loss is None else _loss(loss),
        notes=(*back.notes, *trace.notes),
    )


def _all_finite(main: torch.Tensor, recording: Recording, watcher: Watcher) -> bool:
    """Whether a sum over samples is enough: they miss a NaN, so where one came out or went in all is seen."""
    given = [watcher.input(op) for op in recording.ops[:32]]
    ends = [main, *(x for x in given if x is not None and x.is_floating_point())]
    return all(math.isfinite(sum_of_squares(x)) or bool(torch.isfinite(x.detach()).all()) for x in ends)


def _loss(loss: Loss) -> LossMeasurement:
    return LossMeasurement(
        name=loss.name,
        value=float(loss.value.detach()),
        expected=loss.expected,
        classes=loss.classes,
        logit_std=loss.logit_std,
        prior=loss.prior,
        rarity=loss.rarity,
        offset=loss.offset,
        silent=loss.silent,
        low=loss.low,
        high=loss.high,
        unpaired=loss.unpaired,
    )


def _scores(graph: Graph) -> frozenset[int]:
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


def _measured(
    node: Node,
    watcher: Watcher,
    first: Mapping[int, int],
    limits: Sequence[Bounds | None],
    masked: frozenset[int],
    *,
    exact: bool,
) -> Measurement:
    tensor = watcher.kept[node.id]
    dim = first.get(node.id, max(tensor.ndim - 1, 0))
    if node.kind == OpKind.INPUT and tensor.ndim > 2:
        dim = 1  # whole samples are compared; where the units are does not matter
    limit = limits[node.activation] if node.activation is not None else None
    active = node.kind == OpKind.ACTIVATION
    snapshot = watcher.overwritten.get(node.id)
    if snapshot is not None:
        dim = dim if dim in snapshot.numbers else next(iter(snapshot.numbers))
        found, dead = snapshot.numbers[dim], snapshot.dead.get(dim)
        values, shape = snapshot.sample, snapshot.shape
    else:
        found = numbers(tensor, [dim], masked=node.id in masked, exact=exact)[dim]
        dead = dead_share(tensor, [dim])[dim] if active and tensor.ndim else None
        values, shape = tensor.detach(), tuple(tensor.shape)
    saturated = None
    if active and limit is not None and found.finite:
        saturated = saturated_share(sample(flat(values)), limit.low, limit.high)
    return Measurement(
        node=node.id,
        kind=node.kind,
        op=node.op,
        module=node.module,
        call=node.call,
        shape=shape,
        units=found.units,
        samples=found.samples,
        mean=found.mean,
        power=found.power,
        dead=dead if active else None,
        saturated=saturated,
        zeros=found.zeros,
        cosine=found.cosine,
        unit_spread=found.unit_spread,
        finite=found.finite,
        tiny=found.tiny,
        huge=found.huge,
    )
