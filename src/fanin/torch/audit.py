"""Compare a model's live weights with what a plan or a named convention declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from fanin.checks import audits
from fanin.errors import InputError, ModelError, explain
from fanin.plans import planner
from fanin.plans.rule import Policy
from fanin.records.audit import Audit
from fanin.records.plan import Entry, Plan
from fanin.torch.names import NamedTensor, named_tensors
from fanin.torch.parametrised import adjusted
from fanin.torch.read import read
from fanin.torch.sharded import whole
from fanin.torch.store import memoryless
from fanin.torch.write import fitting

__all__ = ["audit"]


def audit(
    model: nn.Module,
    *inputs: object,
    against: str | Policy | Plan = "auto",
    seed: int = 0,
    level: float = audits.LEVEL,
) -> Audit:
    """Say, tensor by tensor, whether a model's weights are what a plan or a convention declares.

    Each tensor's std, mean, distribution and bounds are put to tests whose chances of a false alarm add
    up to `level` over the whole model; constants are compared exactly. Memory that was never written,
    layers that hold the same numbers, laws that a framework left in place, and a residual factor that
    is missing are named as such.

    Parameters
    ----------
    model
        A model with values; it is not changed. Weights that came from a checkpoint are compared too.
    *inputs
        A batch as the model takes it, to see what each tensor is for. Not needed with a plan, nor for a
        model of transformers, which has inputs of its own.
    against
        A plan that was carried out, a policy, or the name of one: what fanin would do ("auto"), a single
        law ("he"), or a convention ("gpt2"); see ``fanin.plans.policies.names()``.
    seed
        Of the draws that a named policy is compared with to the last bit. A plan has its own.
    level
        Chance that an audit finds fault with a model whose tensors all have the declared laws.

    Returns
    -------
    Audit
        Prints as a table; `Audit.faulty`, `Audit.verdict`, `Audit.why` and `Audit.save` work on it.

    Raises
    ------
    InputError
        A plan for another model, or no batch where one is needed.
    ModelError
        A model on the meta device, or one that cannot be run on these inputs.
    UnknownNameError
        No policy has this name.

    Examples
    --------
    >>> import fanin.torch
    >>> model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    >>> batch = torch.zeros(1, 64)
    >>> audit(model, batch, against="he").agrees
    False
    >>> made = fanin.torch.init_(model, batch)
    >>> print(audit(model, against=made).verdict)
    Sequential follows the plan (policy auto, seed 0): 4 tensors agree, 2 of them to the last bit.
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            explain(
                "There is no model to audit", received=type(model).__name__, rule="It is a torch.nn.Module"
            )
        )
    found = {entry.name: entry for entry in named_tensors(model)}
    absent = [name for name, target in found.items() if memoryless(target.tensor)]
    if absent:
        raise ModelError(
            explain(
                "The model has no weights to audit",
                received=f"on the meta device: {', '.join(absent[:4])}{', ...' * (len(absent) > 4)}",
                remedy="Initialise it first: fanin.torch.init_(model, batch, device='cpu')",
            )
        )
    with whole(model, values=True):
        return _audited(model, inputs, against, seed, level)


def _audited(
    model: nn.Module, inputs: tuple[object, ...], against: str | Policy | Plan, seed: int, level: float
) -> Audit:
    found = {entry.name: entry for entry in named_tensors(model)}
    if isinstance(against, Plan):
        declared, told = against, f"the plan (policy {against.policy}, seed {against.seed})"
        fitting(declared, found)
    else:
        declared = _declared(model, inputs, against, seed)
        told = f"policy {declared.policy}"
    return audits.audit(
        replace(declared, model=_name(model, declared)),
        lambda entry: _values(found[entry.name], entry),
        against=told,
        level=level,
    )


def _declared(model: nn.Module, inputs: tuple[object, ...], against: str | Policy, seed: int) -> Plan:
    if not inputs and isinstance(own := getattr(model, "dummy_inputs", None), Mapping):
        # What transformers runs a model on when it only has to run.
        inputs = (own,)
    if not inputs:
        raise InputError(
            explain(
                "There is nothing to compare the weights with",
                received=f"against={against!r} and no batch",
                rule="A policy decides by what each tensor does in a run of the model",
                remedy="Give a batch, fanin.torch.audit(model, batch), or a plan, against=Plan.load(path)",
            )
        )
    graph = read(model, *inputs)
    # What was loaded is what is to be looked at; a plan for drawing would leave it alone.
    open_ = tuple(replace(parameter, loaded=False) for parameter in graph.parameters)
    return adjusted(model, planner.plan(replace(graph, parameters=open_), policy=against, seed=seed))


def _name(model: nn.Module, declared: Plan) -> str:
    return declared.model or type(model).__name__


def _values(target: NamedTensor, entry: Entry) -> NDArray[Any]:
    """A tensor's numbers in float32 or float64, also of types that NumPy does not know."""
    tensor = target.tensor.detach()
    whole = getattr(tensor, "full_tensor", None)
    try:
        tensor = whole() if callable(whole) else tensor
        tensor = tensor.dequantize() if tensor.is_quantized else tensor
        tensor = tensor.to_dense() if tensor.layout is not torch.strided else tensor
        tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        wide = torch.float64 if tensor.dtype in (torch.float64, torch.int64, torch.int32) else torch.float32
        array: NDArray[Any] = tensor.to(device="cpu", dtype=wide).numpy()
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise InputError(
            explain(
                f"The numbers of '{entry.name}' cannot be read",
                received=f"{type(target.tensor).__name__} of {target.tensor.dtype}: {error}",
                remedy="Audit the model before it is quantised or sharded",
            )
        ) from error
    return array
