"""Measure a function of parameters: one compiled pass forward, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fanin.checks.tiers import Clock, tier_of
from fanin.errors import InputError, ModelError, explain
from fanin.graphs.biases import with_biases
from fanin.jax.losses import Asked
from fanin.jax.models import Subject, subject_of
from fanin.jax.norms import with_norms
from fanin.jax.outcome import trace_of
from fanin.jax.passes import smooth
from fanin.jax.read import graph_of, recorded
from fanin.jax.recording import Recording
from fanin.jax.session import Session
from fanin.jax.targets import asked, outputs_of
from fanin.records.graph import Graph, OpKind
from fanin.records.trace import Trace

__all__ = ["Run", "measure", "measured"]

_UNROLLED = 300
"""Operations up to which all turns of a loop are written out, so that each is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was measured, and what it was measured of."""

    subject: Subject
    recording: Recording
    graph: Graph
    trace: Trace
    loss: Asked | None


def measure(
    function: Any,
    params: Any,
    *inputs: Any,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    seed: int = 0,
    tier: str = "standard",
    lr: float | None = None,
    clock: Clock | None = None,
    **kwargs: Any,
) -> tuple[Graph, Trace]:
    """Run a model once forward and backward, and measure every node and parameter.

    Both passes, and the sums over all elements, are one function that JAX compiles. Gradients at nodes are
    those of ``<r, output>`` for a random r of unit variance, so that they speak of the network and not of the
    loss; those of parameters are the loss's, if there is one.

    Parameters
    ----------
    function, params, *inputs, **kwargs
        As `fanin.jax.plan` takes them, with values. Arrays among the inputs are the batch.
    target
        Integer classes (cross-entropy), floats (mean squared error), or what `loss` takes.
    loss
        ``loss(output, target)``, which JAX can trace.
    seed
        Of the random direction r.
    tier
        "fast": one pass forward and one back, of the random direction only. "standard": the loss's pass
        back besides.
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
        The model fails on this batch, computes nothing, returns no floating array, or has weights without
        values.
    InputError
        A target that does not fit the output, an empty batch, or no such tier.

    Examples
    --------
    >>> params = {"kernel": jnp.ones((4, 2)), "bias": jnp.zeros(2)}
    >>> batch = jax.random.normal(jax.random.key(0), (16, 4))
    >>> graph, trace = measure(
    ...     lambda p, x: x @ p["kernel"] + p["bias"], params, batch, target=np.arange(16) % 2
    ... )
    >>> trace.loss.classes
    2
    """
    subject = subject_of(function, params, inputs, kwargs)
    found = measured(subject, target=target, loss=loss, seed=seed, tier=tier, lr=lr, clock=clock)
    return found.graph, found.trace


def measured(
    subject: Subject,
    *,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    seed: int = 0,
    tier: str = "standard",
    lr: float | None = None,
    clock: Clock | None = None,
) -> Run:
    """As `measure`, of a model as one function of a list of arrays."""
    depth, clock = tier_of(tier), clock or Clock()
    if depth == "deep":
        raise InputError(
            explain("There is no deep tier for JAX yet", received=repr(tier), rule="It is fast or standard")
        )
    _refuse(subject)
    with clock.part("reading"):
        recording = recorded(subject, unrolled=_UNROLLED)
        graph = with_norms(with_biases(graph_of(recording, subject)), recording)
        if not any(node.kind != OpKind.INPUT for node in graph.nodes):
            raise ModelError(
                explain(
                    "Nothing was captured, so nothing can be said about this model",
                    received=f"{len(recording.ops)} operations and no node",
                    rule="The function computes its output from its parameters and inputs with JAX",
                )
            )
        outputs = outputs_of([_shaped(o) for o in recording.outputs], recording.returned)
        made = asked(outputs, target, loss)
    run = Session(subject, recording, graph, outputs, made, seed=seed, apart=depth != "fast", clock=clock)
    found, notes = run.run()
    with clock.part("statistics"):
        trace = trace_of(run, found, notes)
    return Run(
        subject=subject, recording=recording, graph=graph, trace=replace(trace, tier=depth, lr=lr), loss=made
    )


def _shaped(operand: Any) -> Any:
    return jax.ShapeDtypeStruct(
        operand.shape, jnp.dtype(operand.dtype) if "key<" not in operand.dtype else bool
    )  # type: ignore[no-untyped-call]


def _refuse(subject: Subject) -> None:
    """Refuse weights without values, and a batch without samples.

    Raises
    ------
    ModelError, InputError
        As said.
    """
    floats = [leaf for leaf in subject.leaves if not leaf.buffer and smooth(leaf.value)]
    if not floats:
        kinds = ", ".join(sorted({leaf.dtype for leaf in subject.leaves})) or "no array"
        raise ModelError(
            explain(
                "The model has no weights, so there is nothing to check",
                received=f"parameters of {kinds}",
                rule="A check is about parameters that are floats",
            )
        )
    blank = [leaf.path for leaf in subject.leaves if not isinstance(leaf.value, jax.Array | np.ndarray)]
    if blank:
        raise ModelError(
            explain(
                "The model's weights have no values",
                received=f"shapes alone for {', '.join(blank[:4])}",
                rule="A check measures real weights",
                remedy="Initialise the model first: fanin.jax.init(function, shapes, batch)",
            )
        )
    for place, x in enumerate(subject.inputs):
        if not isinstance(x, jax.Array | np.ndarray):
            received = f"input {place + 1} is a {type(x).__name__}"
            raise InputError(
                explain("The batch has no values", received=received, rule="A check runs on real data")
            )
        if 0 in x.shape:
            raise InputError(
                explain(
                    "The batch is empty",
                    received=f"input {place + 1} of shape {tuple(x.shape)}",
                    rule="A batch has a sample, better 64",
                )
            )
