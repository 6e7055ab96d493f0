"""Read a model: what each of its parameters does, from one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from fanin.errors import ModelError, explain
from fanin.graphs.reading import analyse
from fanin.graphs.steps import Part, Run
from fanin.laws.gains import identify
from fanin.records.graph import Graph, Parameter, Use
from fanin.torch.convert import converted
from fanin.torch.guards import refuse_nested
from fanin.torch.inputs import as_call
from fanin.torch.names import NamedTensor, named_tensors
from fanin.torch.ops import base_name
from fanin.torch.record import Recording, record, unwrapped
from fanin.torch.replay import Replay
from fanin.torch.sandbox import keep_state, without_collection

__all__ = ["graph_of", "read"]

_OF_ONE_TYPE = frozenset({"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "convolution", "linear"})
"""Operators whose factors have one type; with fake tensors they do not look."""


def read(model: nn.Module, *inputs: object) -> Graph:
    """Read a model's computation from one run on fake tensors.

    Parameters
    ----------
    model
        Any module; it may be on the meta device. It is not changed.
    *inputs
        What the forward pass takes: positional arguments, or one mapping of keyword inputs.

    Returns
    -------
    Graph
        The model runs in the mode it is in. If fake tensors cannot carry that run (control flow that
        depends on values, as when layers are dropped at random; an operator without a rule for
        shapes), or it leaves parameters unread (a second head for training only), the other mode is
        tried; if neither works, the real tensors. ``engine`` says which run it was, and why.

    Raises
    ------
    ModelError
        The model fails on this batch.
    InputError
        A nested tensor among the inputs.

    Examples
    --------
    >>> graph = read(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), torch.zeros(1, 8))
    >>> [(p.name, str(p.uses[0].axes)) for p in graph.parameters if p.uses[0].axes]
    [('0.weight', 'out in'), ('2.weight', 'out in')]
    >>> graph.activations[graph.parameters[0].uses[0].activation].name
    'relu'
    """
    args, kwargs = as_call(inputs)
    refuse_nested(inputs)
    found: list[Graph] = []
    reason = ""
    for switched in (False, True):
        try:
            graph = _read_fake(model, args, kwargs, why=reason if switched else None)
        except ModelError as error:
            reason = reason or _reason(error)
            continue
        idle = _idle(graph.parameters)
        if not idle:
            return graph
        found.append(graph)
        reason = reason or f"the {_mode(model)} mode leaves {len(idle)} parameters unread"
    if found:
        return min(found, key=lambda graph: len(_idle(graph.parameters)))
    try:
        recording = record(model, args, kwargs, engine="real")
    except ModelError as error:
        if not any(entry.tensor.is_meta for entry in named_tensors(model)):
            raise
        remedy = "Build it on a real device, or plan a model of the same form that is smaller"
        raise ModelError(
            explain(
                "The model cannot be run without values", received=f"{reason}; then {error}", remedy=remedy
            )
        ) from error
    graph = graph_of(recording, model, why=reason)
    return _fuller(model, args, kwargs, graph, reason) if _idle(graph.parameters) else graph


def _fuller(
    model: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object], graph: Graph, reason: str
) -> Graph:
    """The real run in the other mode where it reads more: layers that this one dropped at random."""
    try:
        with keep_state(model), without_collection():
            model.train(not model.training)
            recording = record(model, args, kwargs, engine="real")
            other = graph_of(recording, model, why=f"{_mode(model)} mode: {reason}")
    except ModelError:
        return graph
    return min((graph, other), key=lambda graph: len(_idle(graph.parameters)))


def graph_of(recording: Recording, model: nn.Module, *, why: str = "") -> Graph:
    """The graph of a recorded run; node ids are the recording's operator ids.

    Parameters
    ----------
    recording
        A run of the model, by `fanin.torch.record.record`.
    model
        The model that ran.
    why
        Reason for the engine, told in brackets.
    """
    steps, outputs = converted(recording)
    replay = Replay(recording)
    reading = analyse(
        Run(
            steps=steps,
            outputs=outputs,
            table=replay.table,
            trial=replay.trial,
            offset=replay.offset,
            identify=identify,
            buffers=frozenset(entry.name for entry in recording.tensors if entry.buffer),
            spread=replay.spread,
        )
    )
    statistics = {
        source.name
        for step in steps
        for read in step.reads
        if read.part == Part.STATISTIC
        for source in read.sources
    }
    parameters = tuple(
        _parameter(entry, tuple(reading.uses.get(entry.name, ())), statistics=entry.name in statistics)
        for entry in recording.tensors
    )
    idle = _idle(parameters)
    notes = [f"took no part in this run: {', '.join(idle[:8])}{', ...' * (len(idle) > 8)}"] if idle else []
    if recording.strangers:
        shapes = ", ".join(map(str, recording.strangers[:4])) + ", ..." * (len(recording.strangers) > 4)
        notes.append(
            f"trainable tensors that no module registers take part, out of a plan's reach: of shape {shapes}"
        )
    if mixed := _mixed(recording):
        notes.append(f"a real run refuses to mix types of numbers: {mixed}")
    return Graph(
        model=_kind(unwrapped(model)),
        framework=f"torch {torch.__version__}",
        engine=f"{recording.engine} ({why})" if why else recording.engine,
        nodes=reading.nodes,
        outputs=reading.outputs,
        path=reading.path,
        parameters=parameters,
        activations=reading.activations,
        branches=reading.branches,
        notes=tuple(notes),
    )


def _kind(model: nn.Module) -> str:
    """Name of the user's class; FSDP puts one of its own in its place."""
    kinds = (kind for kind in type(model).__mro__ if not kind.__module__.startswith("torch.distributed."))
    return next(kinds).__name__


def _read_fake(
    model: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object], *, why: str | None
) -> Graph:
    """The graph of a run on fake tensors: in the present mode, or in the other one if there is a why."""
    if why is None:
        with without_collection():
            return graph_of(_sound(record(model, args, kwargs, engine="fake")), model)
    with keep_state(model), without_collection():
        model.train(not model.training)
        recording = _sound(record(model, args, kwargs, engine="fake"))
        return graph_of(recording, model, why=f"{_mode(model)} mode: {why}")


def _sound(recording: Recording) -> Recording:
    """Refuse a fake run in which whole numbers meet weights: real ones fail, and say where."""
    mixed = _mixed(recording, whole=True)
    if mixed:
        raise ModelError(explain("Fake tensors let pass what real ones do not")) from TypeError(mixed)
    return recording


def _mixed(recording: Recording, *, whole: bool = False) -> str:
    """The first operator that reads numbers of two types and needs one; with `whole`, if one is integer."""
    for op in recording.ops:
        kinds = {operand.dtype for operand in op.operands}
        if len(kinds) < 2 or op.func is None or base_name(op.func) not in _OF_ONE_TYPE:
            continue
        if not whole or not all(kind.is_floating_point or kind.is_complex for kind in kinds):
            names = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
            return f"{names} in module '{op.module}' ({op.name})"
    return ""


def _mode(model: nn.Module) -> str:
    return "train" if model.training else "eval"


def _idle(parameters: Iterable[Parameter]) -> list[str]:
    """Names of the parameters that the run never read."""
    return [p.name for p in parameters if not p.buffer and not p.uses]


def _parameter(entry: NamedTensor, uses: tuple[Use, ...], *, statistics: bool) -> Parameter:
    padding = getattr(entry.owner, "padding_idx", None)
    table = isinstance(padding, int) and entry.attribute == "weight" and entry.tensor.ndim == 2
    return Parameter(
        name=entry.name,
        aliases=entry.aliases,
        shape=tuple(entry.tensor.shape),
        dtype=str(entry.tensor.dtype).removeprefix("torch."),
        trainable=entry.tensor.requires_grad,
        buffer=entry.buffer,
        # The flag that transformers leaves on tensors that came from a checkpoint.
        loaded=bool(getattr(entry.tensor, "_is_hf_initialized", False)),
        owner=entry.path,
        padding=padding if table else None,
        parametrisation=_parametrisation(entry),
        role=_role(entry, statistics=statistics) if entry.buffer else "",
        uses=uses,
    )


def _parametrisation(entry: NamedTensor) -> str:
    """What computes the tensor that is used from the one that is kept."""
    if isinstance(entry.owner, ParametrizationList):
        return ", ".join(type(part).__name__.lstrip("_") for part in entry.owner)
    # The older kind of torch.nn.utils: a hook that makes `weight` from `weight_g` and `weight_v`.
    hooks = [hook for hook in entry.owner._forward_pre_hooks.values() if hasattr(hook, "name")]
    return next((type(h).__name__ for h in hooks if entry.attribute.startswith(f"{h.name}_")), "")


def _role(entry: NamedTensor, *, statistics: bool) -> str:
    """What a buffer is for."""
    tensor = entry.tensor
    if tensor.dtype is torch.bool:
        role = "mask"
    elif not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        role = "index" if tensor.ndim else "counter"
    else:
        role = "statistics" if statistics else "table"
    saved = entry.attribute not in entry.owner._non_persistent_buffers_set
    return role if saved else f"{role}, not saved"


def _reason(error: ModelError) -> str:
    cause = error.__cause__
    kind = type(cause).__name__ if cause is not None else "error"
    text = str(cause).strip().splitlines()[0] if cause is not None and str(cause).strip() else ""
    return f"fake tensors could not run it: {kind}: {text[:160]}".rstrip(": ")
