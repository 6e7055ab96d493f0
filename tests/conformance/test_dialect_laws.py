"""Every function of every dialect against its published law, worked out by hand for a matrix and a kernel.

Where a library installs, `test_dialects` compares with the library itself. timm is not installed (it brings
torchvision along), and the others have no wheels beside these: for them this is the comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import scipy.stats

import fanin
from fanin.records.draw import Constant, Draw, Identity, Normal, Orthogonal, Sparse, TruncatedNormal, Uniform
from fanin.schemes.dialects.dialect import dialects

CUT = float(scipy.stats.truncnorm(-2.0, 2.0).std())
"""Standard deviation of a standard normal cut at ±2; Keras and JAX write the number."""


@dataclass(frozen=True)
class Layout:
    """A matrix and a kernel as a library stores them, with the fans that it counts."""

    matrix: tuple[int, ...]
    matrix_fans: tuple[int, int]
    kernel: tuple[int, ...]
    kernel_fans: tuple[int, int]


OIHW = Layout((96, 64), (64, 96), (96, 64, 3, 5), (64 * 15, 96 * 15))
HWIO = Layout((96, 64), (96, 64), (3, 5, 96, 64), (96 * 15, 64 * 15))
OHWI = Layout((96, 64), (64, 96), (96, 3, 5, 64), (64 * 15, 96 * 15))
MIXED = Layout((96, 64), (96, 64), (96, 64, 3, 5), (64 * 15, 96 * 15))
LUX = Layout((96, 64), (64, 96), (3, 5, 96, 64), (96 * 15, 64 * 15))
FLAT = Layout((96, 64), (64, 96), (96, 64, 3, 5), (64 * 15, 96))
LAYOUTS = {
    "torch": OIHW, "timm": OIHW, "equinox": OIHW, "mxnet": OIHW, "chainer": OIHW,
    "keras": HWIO, "jax": HWIO, "haiku": HWIO, "sonnet": HWIO, "tf1": HWIO, "tf1-contrib": HWIO,
    "mlx": OHWI, "paddle": MIXED, "lasagne": MIXED, "dl4j": MIXED, "lux": LUX, "tinygrad": FLAT,
}  # fmt: skip

Law = Callable[[Draw, float, float, int], None]
"""From a draw, both fans and the number of elements: raises where the law is another."""


def same(found: float, wanted: float) -> None:
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def fan(word: str, fan_in: float, fan_out: float, size: int) -> float:
    return {
        "in": fan_in,
        "out": fan_out,
        "sum": fan_in + fan_out,
        "geo": math.sqrt(fan_in * fan_out),
        "size": float(size),
    }[word]


def u(top: float, word: str) -> Law:
    """Uniform between ± the root of top over a fan."""

    def law(draw: Draw, fan_in: float, fan_out: float, size: int) -> None:
        assert isinstance(draw, Uniform)
        same(draw.high, math.sqrt(top / fan(word, fan_in, fan_out, size)))
        same(draw.low, -draw.high)

    return law


def n(top: float, word: str) -> Law:
    """Normal whose variance is top over a fan."""

    def law(draw: Draw, fan_in: float, fan_out: float, size: int) -> None:
        assert isinstance(draw, Normal)
        same(draw.mean, 0.0)
        same(draw.std**2, top / fan(word, fan_in, fan_out, size))

    return law


def t(top: float, word: str) -> Law:
    """Normal cut at ±2, widened so that its variance is top over a fan."""

    def law(draw: Draw, fan_in: float, fan_out: float, size: int) -> None:
        assert isinstance(draw, TruncatedNormal)
        std = math.sqrt(top / fan(word, fan_in, fan_out, size))
        same(draw.std, std)
        same(draw.parent_std, std / CUT)
        same(draw.upper, 2.0)
        same(draw.lower, -2.0)

    return law


def p(top: float, word: str) -> Law:
    """Normal of variance top over a fan, then cut at ±2."""

    def law(draw: Draw, fan_in: float, fan_out: float, size: int) -> None:
        assert isinstance(draw, TruncatedNormal)
        same(draw.parent_std**2, top / fan(word, fan_in, fan_out, size))
        same(draw.std, CUT * draw.parent_std)
        same(draw.upper, 2.0)

    return law


def b(low: float, high: float) -> Law:
    """Uniform between two numbers."""

    def law(draw: Draw, *_: float) -> None:
        assert draw == Uniform(low=low, high=high)

    return law


def g(mean: float, std: float) -> Law:
    """Normal of two numbers."""

    def law(draw: Draw, *_: float) -> None:
        assert draw == Normal(mean=mean, std=std)

    return law


def c(mean: float, std: float, low: float, high: float) -> Law:
    """Normal of two numbers, cut at two more; all in units of the weight."""

    def law(draw: Draw, *_: float) -> None:
        assert isinstance(draw, TruncatedNormal)
        same(draw.parent_mean, mean)
        same(draw.parent_std, std)
        same(mean + draw.lower * std, low)
        same(mean + draw.upper * std, high)

    return law


def k(value: float) -> Law:
    """One value."""

    def law(draw: Draw, *_: float) -> None:
        assert draw == Constant(value=value)

    return law


def o(gain: float) -> Law:
    """Orthogonal times a gain: an entry has the variance gain² / the longer side."""

    def law(draw: Draw, fan_in: float, fan_out: float, size: int) -> None:
        assert isinstance(draw, Orthogonal)
        same(draw.gain, gain)
        sides = {size // 96, 96, size // 64, 64}
        assert any(abs(draw.std - gain / math.sqrt(side)) < 1e-12 for side in sides), (fan_in, fan_out)

    return law


def i(gain: float = 1.0) -> Law:
    """Identity times a gain."""

    def law(draw: Draw, *_: float) -> None:
        assert isinstance(draw, Identity)
        same(draw.gain, gain)

    return law


def s(sparsity: float, std: float, units: str) -> Law:
    """Normal, with a share of each unit's inputs at zero; units are columns or rows."""

    def law(draw: Draw, *_: float) -> None:
        assert isinstance(draw, Sparse)
        length = 96 if units == "columns" else 64
        assert draw.kept == length - math.ceil(sparsity * length)
        same(draw.parent_std, std)

    return law


ONE, ZERO = {"ones": k(1.0)}, {"zeros": k(0.0)}
TRUNCATED_FAMILY = {
    "glorot_uniform": u(6, "sum"), "glorot_normal": t(2, "sum"), "he_uniform": u(6, "in"),
    "he_normal": t(2, "in"), "lecun_uniform": u(3, "in"), "lecun_normal": t(1, "in"),
}  # fmt: skip
HAIKU = {
    **ONE, **ZERO, "random_uniform": b(0, 1), "random_normal": g(0, 1), "truncated_normal": c(0, 1, -2, 2),
    "variance_scaling": t(1, "in"), "orthogonal": o(1), "identity": i(), "default_weight": p(1, "in"),
}  # fmt: skip
LAWS: Mapping[str, Mapping[str, Law]] = {
    "torch": {
        **ONE, **ZERO, "uniform": b(0, 1), "normal": g(0, 1), "trunc_normal": c(0, 1, -2, 2),
        "constant": k(0.5), "eye": i(), "dirac": i(), "xavier_uniform": u(6, "sum"),
        "xavier_normal": n(2, "sum"), "kaiming_uniform": u(6, "in"), "kaiming_normal": n(2, "in"),
        "orthogonal": o(1), "sparse": s(0.75, 0.01, "columns"), "default_weight": u(1, "in"),
        "default_recurrent": b(-1 / 8, 1 / 8), "default_embedding": g(0, 1),
    },
    "timm": {
        "trunc_normal": c(0, 1, -2, 2), "trunc_normal_tf": c(0, 1, -2, 2), "variance_scaling": n(1, "in"),
        "lecun_normal": t(1, "in"),
    },
    "equinox": {"default_init": u(1, "in")},
    "keras": {
        **ONE, **ZERO, **TRUNCATED_FAMILY, "variance_scaling": t(1, "in"), "random_uniform": b(-0.05, 0.05),
        "random_normal": g(0, 0.05), "truncated_normal": c(0, 0.05, -0.1, 0.1), "orthogonal": o(1),
        "identity": i(), "constant": k(0.0),
    },
    "jax": {
        **ONE, **ZERO, **TRUNCATED_FAMILY, "xavier_uniform": u(6, "sum"), "xavier_normal": t(2, "sum"),
        "kaiming_uniform": u(6, "in"), "kaiming_normal": t(2, "in"), "variance_scaling": n(1, "in"),
        "uniform": b(0, 0.01), "normal": g(0, 0.01), "truncated_normal": c(0, 0.01, -0.02, 0.02),
        "orthogonal": o(1), "delta_orthogonal": lambda *_: None, "constant": k(0.5),
    },
    "haiku": {**HAIKU, "constant": k(0.5), "uniform_scaling": u(3, "in")},
    "sonnet": {**HAIKU, "constant": k(0.5)},
    "tf1": {
        **ONE, **ZERO, **TRUNCATED_FAMILY, "constant": k(0.0), "random_uniform": b(0, 1),
        "random_normal": g(0, 1), "truncated_normal": c(0, 1, -2, 2), "variance_scaling": t(1, "in"),
        "uniform_unit_scaling": u(3, "in"), "orthogonal": o(1), "delta_orthogonal": lambda *_: None,
        "identity": i(),
    },
    "tf1-contrib": {
        "xavier_initializer": u(6, "sum"), "variance_scaling_initializer": p(1.3 * 2, "in"),
    },
    "mxnet": {
        "uniform": b(-0.07, 0.07), "normal": g(0, 0.01), "xavier": u(6, "sum"),
        "msraprelu": n(2 * 2 / 1.0625, "sum"), "orthogonal": o(1.414), "constant": k(0.5), "zero": k(0.0),
        "one": k(1.0),
    },
    "chainer": {
        "uniform": b(-0.05, 0.05), "normal": g(0, 0.05), "lecun_normal": n(1, "in"),
        "lecun_uniform": u(3, "in"), "glorot_normal": n(2, "sum"), "glorot_uniform": u(6, "sum"),
        "he_normal": n(2, "in"), "he_uniform": u(6, "in"), "orthogonal": o(1.1), "identity": i(),
        "constant": k(0.5), "zero": k(0.0), "one": k(1.0),
    },
    "lasagne": {
        "normal": g(0, 0.01), "glorot_normal": n(2, "sum"), "glorot_uniform": u(6, "sum"),
        "he_normal": n(1, "in"), "he_uniform": u(3, "in"), "constant": k(0.0), "orthogonal": o(1),
    },
    "dl4j": {
        "xavier": n(2, "sum"), "xavier_uniform": u(6, "sum"), "xavier_fan_in": n(1, "in"),
        "relu": n(2, "in"), "relu_uniform": u(6, "in"), "sigmoid_uniform": u(16 * 6, "sum"),
        "uniform": u(1, "in"), "lecun_normal": n(1, "in"), "lecun_uniform": u(9, "in"),
        "var_scaling_normal_fan_in": t(1, "in"), "var_scaling_normal_fan_out": t(1, "out"),
        "var_scaling_normal_fan_avg": t(2, "sum"), "var_scaling_uniform_fan_in": u(9, "in"),
        "identity": i(), "zero": k(0.0), "ones": k(1.0),
    },
    "paddle": {
        "uniform": b(-1, 1), "normal": g(0, 1), "truncated_normal": c(0, 1, -2, 2),
        "xavier_uniform": u(6, "sum"), "xavier_normal": n(2, "sum"), "kaiming_uniform": u(6, "in"),
        "kaiming_normal": n(2, "in"), "orthogonal": o(1), "dirac": i(), "constant": k(0.0),
    },
    "mlx": {
        "uniform": b(0, 1), "normal": g(0, 1), "glorot_uniform": u(6, "sum"), "glorot_normal": n(2, "sum"),
        "he_uniform": u(3, "in"), "he_normal": n(1, "in"), "orthogonal": o(1),
        "sparse": s(0.5, 1.0, "rows"), "identity": i(), "constant": k(0.5),
    },
    "tinygrad": {
        "glorot_uniform": u(6, "sum"), "kaiming_uniform": u(6 / 1.0001, "in"),
        "kaiming_normal": n(2 / 1.0001, "in"), "scaled_uniform": u(1, "size"),
    },
    "lux": {
        **ONE, **ZERO, "glorot_uniform": u(6, "sum"), "glorot_normal": n(2, "sum"),
        "kaiming_uniform": u(6, "in"), "kaiming_normal": n(2, "in"), "truncated_normal": c(0, 1, -2, 2),
        "orthogonal": o(1),
    },
}  # fmt: skip
"""Laws by the first example of each function: its defaults, where it has any."""

MATRIX_ONLY = {"sparse", "identity", "eye"}
KERNEL_ONLY = {"dirac", "delta_orthogonal"}
CASES = [(name, function) for name, laws in LAWS.items() for function in laws]


def test_every_function_of_every_dialect_is_here() -> None:
    assert {name: set(one.names()) for name, one in dialects().items()} == {
        name: set(laws) for name, laws in LAWS.items()
    }


def drawn(name: str, function: str, shape: tuple[int, ...]) -> Draw:
    one = fanin.dialect(name)
    return one.get(function, **one.functions[function].examples[0]).draw(shape)


@pytest.mark.parametrize(("name", "function"), [case for case in CASES if case[1] not in KERNEL_ONLY])
def test_a_matrix_has_the_published_law(name: str, function: str) -> None:
    layout = LAYOUTS[name]
    size = math.prod(layout.matrix)
    LAWS[name][function](drawn(name, function, layout.matrix), *layout.matrix_fans, size)


@pytest.mark.parametrize(("name", "function"), [case for case in CASES if case[1] not in MATRIX_ONLY])
def test_a_kernel_has_the_published_law(name: str, function: str) -> None:
    layout = LAYOUTS[name]
    if function == "delta_orthogonal":
        # As many outputs as inputs at least: orthonormal columns at one of 15 taps.
        draw = drawn(name, function, (3, 5, 64, 96))
        same(draw.std, 1 / math.sqrt(96 * 15))
        return
    size = math.prod(layout.kernel)
    LAWS[name][function](drawn(name, function, layout.kernel), *layout.kernel_fans, size)


@pytest.mark.parametrize(
    ("name", "law"), [("torch", t(2, "in")), ("keras", n(2, "in")), ("mlx", n(2, "in")), ("jax", t(1, "in"))]
)
def test_another_law_would_be_seen(name: str, law: Law) -> None:
    function = "kaiming_normal" if name == "torch" else "he_normal"
    layout = LAYOUTS[name]
    with pytest.raises(AssertionError):
        law(drawn(name, function, layout.matrix), *layout.matrix_fans, 96 * 64)
