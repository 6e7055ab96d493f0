"""fanin for PyTorch: plan a model, initialise it, check it, and drop-ins for ``torch.nn.init``.

>>> import torch, fanin.torch
>>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
>>> plan = fanin.torch.init_(model, torch.zeros(1, 4), seed=1)
>>> print(plan["0.weight"].scheme)
he_normal
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fanin.errors import InputError, explain, missing

try:
    import torch
except ModuleNotFoundError as error:
    raise missing("fanin.torch", error, extra="torch") from error
from torch import nn

from fanin.plans import planner
from fanin.plans.prior import ClassPrior
from fanin.plans.rule import Policy
from fanin.records.plan import Plan
from fanin.torch import named
from fanin.torch.audit import audit
from fanin.torch.check import check
from fanin.torch.check_width import check_width
from fanin.torch.init import (
    calculate_gain,
    constant_,
    dirac_,
    eye_,
    kaiming_normal_,
    kaiming_uniform_,
    normal_,
    ones_,
    orthogonal_,
    sparse_,
    trunc_normal_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
    zeros_,
)
from fanin.torch.materialise import materialise as _materialise
from fanin.torch.parametrised import adjusted as _adjusted
from fanin.torch.parametrised import check_plain as _check_plain
from fanin.torch.predict import predict
from fanin.torch.read import read as _read
from fanin.torch.sharded import is_sharded as _is_sharded
from fanin.torch.sharded import whole as _whole
from fanin.torch.sharded import write_parts as _write_parts
from fanin.torch.write import write as _write

__all__ = [
    "apply_",
    "audit",
    "calculate_gain",
    "check",
    "check_width",
    "constant_",
    "dirac_",
    "eye_",
    "init_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "plan",
    "predict",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def plan(
    model: nn.Module,
    *inputs: object,
    policy: str | Policy = "auto",
    seed: int = 0,
    class_prior: ClassPrior | None = None,
) -> Plan:
    """Say what every tensor of a model should get, and why; nothing is changed.

    The model is run once, on fake tensors (shapes only), to see what each tensor is used for.

    Parameters
    ----------
    model
        Any module, also one on the meta device.
    *inputs
        A batch as the model takes it: tensors by position, or one mapping of keyword inputs.
    policy
        ``"auto"``, a single law or a convention (``fanin.plans.policies.names()``), with modifiers after
        a plus sign (``"he+zero-out"``), or a policy as a value.
    seed
        Of all draws, 0 to 2^64 - 1.
    class_prior
        Probabilities (or a mapping to counts) of the classes, for the bias of the head, so that the first
        loss is their entropy; a number is the share of positives for a sigmoid. Models with several heads
        take a mapping from the head's name.

    Returns
    -------
    Plan
        Prints as a table; `Plan.override`, `Plan.diff`, `Plan.save` and `Plan.why` work on it.

    Raises
    ------
    ModelError
        The model cannot be run on these inputs.
    UnknownNameError
        No policy has this name.
    InputError
        A policy or a class prior that does not fit the model.

    Examples
    --------
    >>> import torch
    >>> made = plan(nn.Linear(4, 2), torch.zeros(1, 4))
    >>> [entry.name for entry in made.entries]
    ['weight', 'bias']
    """
    with _whole(model, values=False):
        if isinstance(model, nn.Module):
            _check_plain(model)
        graph = _read(model, *inputs)
        return _adjusted(model, planner.plan(graph, policy=policy, seed=seed, class_prior=class_prior))


def init_(
    model: nn.Module,
    *inputs: object,
    policy: str | Policy = "auto",
    seed: int = 0,
    class_prior: ClassPrior | None = None,
    device: torch.device | str | None = None,
    values: Mapping[str, torch.Tensor] | None = None,
) -> Plan:
    """Plan a model and carry the plan out in place, all or nothing.

    Parameters and errors are those of `plan` and `apply_`.

    Returns
    -------
    Plan
        What was done.

    Examples
    --------
    >>> import torch
    >>> layer = nn.Linear(4, 2)
    >>> made = init_(layer, torch.zeros(1, 4))
    >>> layer.bias.tolist()
    [0.0, 0.0]
    """
    made = plan(model, *inputs, policy=policy, seed=seed, class_prior=class_prior)
    return apply_(model, made, device=device, values=values)


def apply_(
    model: nn.Module,
    plan: Plan,
    *,
    device: torch.device | str | None = None,
    values: Mapping[str, torch.Tensor] | None = None,
) -> Plan:
    """Carry out a plan, an edited or a loaded one too: all or nothing.

    Of a sharded model (DDP, FSDP of both kinds, tensor parallelism) every process draws what it holds, the
    numbers of the whole model, and sends nothing.

    Parameters
    ----------
    model
        A model with the tensors that the plan lists.
    plan
        The plan.
    device
        Where tensors on the meta device get their memory; tensors that have memory stay where they are.
        What the plan keeps of a model on the meta device (buffers, constructors' values) is computed
        again by its owner.
    values
        Values of kept tensors on the meta device that no owner can compute, by name.

    Returns
    -------
    Plan
        The same plan.

    Raises
    ------
    InputError
        A plan for another model, a tensor that cannot be written, or one on the meta device whose value
        nobody knows; the model is untouched.

    Examples
    --------
    >>> import fanin, torch
    >>> layer = nn.Linear(4, 2, device="meta")
    >>> made = plan(layer, torch.zeros(1, 4))
    >>> done = apply_(layer, made.override({"bias": fanin.ones()}), device="cpu")
    >>> layer.bias.tolist()
    [1.0, 1.0]
    """
    if _is_sharded(model) and isinstance(plan, Plan):
        if values:
            raise InputError(
                explain(
                    "A sharded model takes no values",
                    received=f"values for {', '.join(list(values)[:4])}",
                    rule="Its parameters are drawn where they are, its buffers computed by their owners",
                    remedy="Write those values once the model has memory",
                )
            )
        _write_parts(model, plan, device=device)
    elif device is None:
        if values:
            raise InputError(
                explain(
                    "Values are given, but no device",
                    received=f"values for {', '.join(list(values)[:4])}",
                    rule="values= is for tensors on the meta device, which get memory on device=",
                )
            )
        _write(model, plan)
    else:
        _materialise(model, plan, device=device, values=values)
    return plan


def __getattr__(name: str) -> Any:
    found = named.functions().get(name)
    if found is None:
        raise AttributeError(f"module 'fanin.torch' has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *named.functions()})
