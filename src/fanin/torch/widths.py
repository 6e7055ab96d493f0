"""One architecture at several widths: how sizes of outputs, and of steps, go with the width."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from fanin.errors import FaninError, InputError, ModelError, explain, finite
from fanin.laws.powerlaw import power_law
from fanin.records.graph import OpKind
from fanin.records.trace import WidthScaling, WidthTrend
from fanin.torch.deep import Call
from fanin.torch.read import graph_of
from fanin.torch.record import record
from fanin.torch.sandbox import keep_random_state
from fanin.torch.statistics import sum_of_squares
from fanin.torch.targets import main_output

__all__ = ["OptimizerMaker", "made_at", "measure_widths", "widths_of"]

OptimizerMaker: TypeAlias = Callable[[nn.Module], torch.optim.Optimizer]

_LAYERS = {OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.EMBEDDING, OpKind.RECURRENCE, OpKind.ATTENTION}
_RATES = {"adam": 1e-3, "sgd": 0.1}
_LEAST = 3

_Place: TypeAlias = tuple[str, int, int]
"""Module, call, and which of its layers in that call."""

_OUTPUT: _Place = ("", -1, 0)
"""What the model returns, where no layer is known to be its head."""


@dataclass(slots=True)
class _Outputs:
    """An observer that keeps every floating output as it was made."""

    kept: dict[int, torch.Tensor] = field(default_factory=dict)

    def after(self, id: int, output: torch.Tensor) -> None:
        if (output.is_floating_point() or output.is_complex()) and output.layout is torch.strided:
            self.kept[id] = output.detach()

    def before_mutation(self, id: int, tensor: torch.Tensor) -> None:  # noqa: ARG002  (may be a part of it)
        if id in self.kept:
            self.kept[id] = self.kept[id].clone()


def measure_widths(
    make: Callable[[int], nn.Module],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    *,
    widths: Sequence[int],
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    optimizer: str | OptimizerMaker = "adam",
    lr: float | None = None,
    steps: int = 3,
    draws: int = 3,
    seed: int = 0,
) -> WidthScaling:
    """Make a model at every width, take some steps on one batch, and fit exponents to what is seen.

    Parameters
    ----------
    make
        The model of a width, freshly drawn.
    args, kwargs
        The batch, the same for all widths.
    widths
        Three or more.
    target, loss
        As `fanin.torch.check` takes them.
    optimizer
        "adam", "sgd", or a function from the model to its optimiser, with its own learning rates.
    lr
        Learning rate of the former two; 1e-3 and 0.1 if none is given.
    steps, draws
        Steps to take; models to make of each width.
    seed
        Of the draws: torch is seeded with ``seed``, ``seed + 1`` ... before each model is made.

    Returns
    -------
    WidthScaling

    Raises
    ------
    InputError
        Fewer than three widths, no steps or draws, no such optimiser, no loss to take a step of, or a
        `make` that makes no model, or the same sizes at every width.
    ModelError
        Models of different widths do not have the same layers, or no step can be taken.

    Examples
    --------
    >>> def make(width):
    ...     return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 4))
    >>> x, y = torch.randn(16, 8), torch.arange(16) % 4
    >>> found = measure_widths(make, (x,), {}, widths=(32, 64, 128), target=y)
    >>> found.optimizer
    'Adam (learning rate 0.001)'
    """
    widths = widths_of(widths)
    if steps < 1 or draws < 1:
        raise InputError(
            explain("There is nothing to measure", received=f"steps={steps}, draws={draws}", rule="1 or more")
        )
    named, maker = _optimizer(optimizer, lr)
    sizes: dict[tuple[str, _Place], list[tuple[int, float]]] = defaultdict(list)
    heads: set[_Place] = set()
    shapes: set[tuple[torch.Size, ...]] = set()
    for width in widths:
        for draw in range(draws):
            with keep_random_state():
                model = made_at(make, width, seed + draw)
                shapes.add(tuple(p.shape for p in model.parameters()))
                call = Call(model=model, args=args, kwargs=kwargs, target=target, loss=loss)
                found, ends = _one(call, maker, steps)
                heads |= ends
                for key, size in found.items():
                    sizes[key].append((width, size))
    if len(shapes) == 1:
        raise InputError(
            explain(
                "The model has the same sizes at every width",
                received=f"widths {tuple(widths)}",
                rule="make(width) builds layers that are as wide as it is told",
            )
        )
    trends, still = [], []
    for (quantity, place), seen in sizes.items():
        if len(seen) != len(widths) * draws:
            raise ModelError(
                explain(
                    "Models of different widths do not have the same layers",
                    received=f"{len(seen)} models of {len(widths) * draws} with a layer {place[0]!r}",
                    rule="make(width) changes sizes only",
                )
            )
        name, head = place[0], place in heads
        if any(not 0.0 < size < math.inf for _, size in seen):
            still.append(f"the {quantity} of {name or 'the output'} is zero or not finite somewhere")
            continue
        fit = power_law([width for width, _ in seen], [size for _, size in seen])
        means = tuple(
            math.exp(math.fsum(math.log(s) for w, s in seen if w == width) / draws) for width in widths
        )
        trends.append(
            WidthTrend(
                name=name, quantity=quantity, head=head, exponent=fit.exponent, error=fit.error, sizes=means
            )
        )
    return WidthScaling(
        widths=tuple(widths),
        draws=draws,
        steps=steps,
        optimizer=named,
        trends=tuple(trends),
        notes=tuple(still),
    )


def made_at(make: Callable[[int], object], width: int, seed: int) -> nn.Module:
    """The model of a width, drawn with torch seeded anew; keep the random state around it.

    Raises
    ------
    InputError
        `make` fails, or makes no model.

    Examples
    --------
    >>> made_at(lambda width: nn.Linear(2, width), 8, 0).weight.shape
    torch.Size([8, 2])
    """
    rule = "make(width) builds and returns a torch.nn.Module of that width"
    name = getattr(make, "__name__", type(make).__name__)
    torch.manual_seed(seed)
    try:
        model = make(width)
    except FaninError:
        raise
    except Exception as error:
        raise InputError(
            explain(
                f"'{name}' makes no model of width {width}",
                received=f"{type(error).__name__}: {error}",
                rule=rule,
            )
        ) from error
    if not isinstance(model, nn.Module):
        received = f"'{name}' returned {type(model).__name__}"
        raise InputError(explain(f"There is no model of width {width}", received=received, rule=rule))
    return model


def widths_of(widths: object) -> tuple[int, ...]:
    """The widths as whole numbers.

    Raises
    ------
    InputError
        What is no sequence of three different whole numbers above 0, or more.

    Examples
    --------
    >>> widths_of([64, 128, 256])
    (64, 128, 256)
    """
    found = tuple(widths) if isinstance(widths, Iterable) else (widths,)
    whole = [int(w) for w in found if isinstance(w, int | np.integer) and not isinstance(w, bool) and w > 0]
    if not (len(found) == len(whole) == len(set(whole)) >= _LEAST):
        raise InputError(
            explain(
                "No trend can be told from these widths",
                received=f"widths {found}",
                rule=f"{_LEAST} different whole numbers above 0 or more, such as 64, 128, 256",
            )
        )
    return tuple(whole)


def _optimizer(asked: str | OptimizerMaker, lr: float | None) -> tuple[str, OptimizerMaker]:
    if not isinstance(asked, str):
        if not callable(asked) or lr is not None:
            raise InputError(
                explain(
                    "This optimiser cannot be used",
                    received=f"{type(asked).__name__}, lr={lr}",
                    rule="'adam' or 'sgd' with lr=, or a function from the model to an optimiser without",
                )
            )
        return "the given optimiser", asked
    if asked not in _RATES:
        raise InputError(
            explain(
                "There is no such optimiser",
                received=repr(asked),
                rule="'adam', 'sgd', or a function from the model to an optimiser",
            )
        )
    if lr is not None and not (finite(lr) and lr > 0.0):
        raise InputError(explain("lr is no learning rate", received=lr, rule="It is a number above 0"))
    rate = _RATES[asked] if lr is None else lr
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[asked]

    def made(model: nn.Module) -> torch.optim.Optimizer:
        found: torch.optim.Optimizer = kind([p for p in model.parameters() if p.requires_grad], lr=rate)
        return found

    return f"{'Adam' if asked == 'adam' else 'SGD'} (learning rate {rate:g})", made


def _one(
    call: Call, maker: OptimizerMaker, steps: int
) -> tuple[dict[tuple[str, _Place], float], set[_Place]]:
    """Sizes of one model, and its heads; all is put back, since `make` may hand out a model in use."""
    with _gradients(call.model), call.borrowed():
        before, heads = _outputs(call)
        stepper = _stepper(call.model, maker)
        for _ in range(steps):
            stepper.zero_grad()
            value = call.run(call.args, call.kwargs, call.target)
            if value is None:
                raise InputError(
                    explain(
                        "There is no loss, so no step can be taken",
                        received="neither target= nor loss=, and a model that returns none",
                        remedy="Give target=, or loss= with a function of output and target; to the command, "
                        "a --batch function that returns a pair (inputs, target)",
                    )
                )
            if not value.requires_grad:
                raise ModelError(
                    explain(
                        "No step can be taken: the loss has no gradient",
                        received="a loss that no parameter reaches",
                        rule="Output and loss are computed with gradients from parameters that ask for them",
                    )
                )
            value.backward()
            stepper.step()
        after, _ = _outputs(call)
    found = {("activation", place): _size(x) for place, x in before.items()}
    for place, x in before.items():
        if place in after and after[place].shape == x.shape:
            found["update", place] = _size(after[place] - x)
    return found, heads


def _stepper(model: nn.Module, maker: OptimizerMaker) -> torch.optim.Optimizer:
    rule = "optimizer= is 'adam', 'sgd', or a function from the model to a torch.optim.Optimizer"
    try:
        made = maker(model)
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        raise InputError(
            explain("No optimiser can be made for this model", received=received, rule=rule)
        ) from error
    if not isinstance(made, torch.optim.Optimizer):
        raise InputError(explain("There is no optimiser", received=type(made).__name__, rule=rule))
    return made


def _outputs(call: Call) -> tuple[dict[_Place, torch.Tensor], set[_Place]]:
    seen = _Outputs()
    recording = record(call.model, call.args, call.kwargs, engine="real", observer=seen)
    graph = graph_of(recording, call.model)
    ends = {use.node for p in graph.parameters for use in p.uses if use.head}
    counts: dict[tuple[str, int], int] = defaultdict(int)
    found: dict[_Place, torch.Tensor] = {}
    heads: set[_Place] = set()
    for node in graph.nodes:
        if node.kind in _LAYERS and node.id in seen.kept:
            place = node.module, node.call, counts[node.module, node.call]
            counts[node.module, node.call] += 1
            found[place] = seen.kept[node.id].clone()
            if node.id in ends:
                heads.add(place)
    if not heads:
        found[_OUTPUT] = main_output(recording.returned).detach().clone()
        heads = {_OUTPUT}
    return found, heads


def _size(x: torch.Tensor) -> float:
    return math.sqrt(sum_of_squares(x) / max(x.numel(), 1))


@contextlib.contextmanager
def _gradients(model: nn.Module) -> Iterator[None]:
    """Put back every ``.grad``."""
    before = [(p, p.grad) for p in model.parameters()]
    for p, _ in before:
        p.grad = None
    try:
        yield
    finally:
        for p, gradient in before:
            p.grad = gradient
