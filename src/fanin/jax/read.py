"""Read a model: what each of its parameters does, from one trace of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax

from fanin.graphs.reading import analyse
from fanin.graphs.steps import Part, Run
from fanin.jax.convert import converted
from fanin.jax.leaves import Leaf, Names
from fanin.jax.models import Subject, parts_of, subject_of
from fanin.jax.recording import Recording
from fanin.jax.replay import Replay
from fanin.jax.tracing import record
from fanin.laws.gains import identify
from fanin.records.graph import Graph, Parameter, Use

__all__ = ["graph_of", "read", "recorded"]


def read(apply: Any, params: Any, *inputs: Any, names: Names = None, **kwargs: Any) -> Graph:
    """Read a model's computation from one trace; no values are needed, and nothing is computed.

    Parameters
    ----------
    apply
        A function ``apply(params, *inputs, **kwargs)``, a linen module (or its ``apply``), or a module that
        holds its own arrays (nnx, Equinox), which is given without `params`.
    params
        Tree of arrays, or of `jax.ShapeDtypeStruct`; the variables of a linen module.
    *inputs, **kwargs
        What the model takes besides. Arrays (or shapes) are traced, everything else is passed as it is.
    names
        From paths of leaves to names of streams, as a mapping or a function.

    Returns
    -------
    Graph
        In no framework's words; parameters are named by their paths, keys joined by dots.

    Raises
    ------
    ModelError
        The model cannot be traced on these inputs.
    InputError
        No model, no parameters, or names that do not fit.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> def mlp(p, x):
    ...     return jax.nn.relu(x @ p["fc1"]["kernel"]) @ p["fc2"]["kernel"]
    >>> params = {"fc1": {"kernel": jnp.zeros((8, 16))}, "fc2": {"kernel": jnp.zeros((16, 4))}}
    >>> graph = read(mlp, params, jnp.zeros((1, 8)))
    >>> [(p.name, str(p.uses[0].axes)) for p in graph.parameters]
    [('fc1.kernel', 'in out'), ('fc2.kernel', 'in out')]
    >>> graph.activations[graph.parameters[0].uses[0].activation].name
    'relu'
    """
    subject = subject_of(apply, params, inputs, kwargs, names)
    return graph_of(recorded(subject), subject)


def recorded(subject: Subject, *, unrolled: int = 0) -> Recording:
    """The flat trace of a model; loops are written out while there are at most `unrolled` operations.

    Raises
    ------
    ModelError
        It cannot be traced.
    """

    def call(arrays: Sequence[Any], values: Sequence[Any]) -> Any:
        parts = parts_of(subject.call(arrays, values))
        structure.append(parts.whole)
        return list(parts.arrays)

    structure: list[Callable[[Sequence[Any]], Any]] = []
    recording = record(call, [leaf.value for leaf in subject.leaves], subject.inputs, unrolled=unrolled)
    recording = replace(recording, returned=structure[-1])
    if subject.scope:
        for op in recording.ops:
            head, _, rest = op.module.partition(".")
            op.module = rest if head == subject.scope else op.module
    return recording


def graph_of(recording: Recording, subject: Subject) -> Graph:
    """The graph of a traced model; node ids are the recording's operation ids."""
    leaves = subject.leaves
    steps, outputs = converted(recording, leaves)
    replay = Replay(recording, leaves)
    reading = analyse(
        Run(
            steps=steps,
            outputs=outputs,
            table=replay.table,
            trial=replay.trial,
            offset=replay.offset,
            identify=identify,
            buffers=frozenset(leaf.name for leaf in leaves if leaf.buffer),
            spread=replay.spread,
        )
    )
    statistics = {
        source.name
        for step in steps
        for given in step.reads
        if given.part == Part.STATISTIC
        for source in given.sources
    }
    parameters = tuple(
        _parameter(leaf, tuple(reading.uses.get(leaf.name, ())), statistics=leaf.name in statistics)
        for leaf in leaves
    )
    idle = [p.name for p in parameters if not p.buffer and not p.uses]
    notes = [f"took no part in this run: {', '.join(idle[:8])}{', ...' * (len(idle) > 8)}"] if idle else []
    if replay.untried:
        largest = max(replay.untried.values())
        notes.append(
            f"{len(replay.untried)} places were too large to be tried ({largest:,} elements a sample): norms "
            "that are written out there are not known as such; a smaller image or a shorter text shows them"
        )
    return Graph(
        model=subject.model,
        framework=f"jax {jax.__version__}",
        engine="traced",
        nodes=reading.nodes,
        outputs=reading.outputs,
        path=reading.path,
        parameters=parameters,
        activations=reading.activations,
        branches=reading.branches,
        notes=(*notes, *recording.notes),
    )


def _parameter(leaf: Leaf, uses: tuple[Use, ...], *, statistics: bool) -> Parameter:
    return Parameter(
        name=leaf.name,
        shape=leaf.shape,
        dtype=leaf.dtype,
        buffer=leaf.buffer,
        owner=leaf.owner,
        role="statistics" if statistics and leaf.buffer else leaf.role,
        uses=uses,
    )
