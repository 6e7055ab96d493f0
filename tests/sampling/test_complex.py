"""Complex draws: the bits that SPEC.md says, and the law that was asked for."""

from __future__ import annotations

import csv
import hashlib
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fanin import _kernel
from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Draw, Formula, Identity, Normal, Sparse, TruncatedNormal, Uniform
from fanin.sampling.backends import VARIABLE
from fanin.sampling.cast import COMPLEX
from fanin.sampling.engine import fill, fill_range, fill_slice, generate
from fanin.sampling.many import fill_many
from fanin.sampling.parts import parts
from fanin.sampling.recipe import recipe

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
PATHS = ["off", *_kernel.paths()]
DRAWS: list[Draw] = [
    Normal(std=0.7),
    Normal(mean=0.3, std=0.7),
    Uniform(low=-0.5, high=0.5),
    Uniform(low=0.1, high=0.7),
    TruncatedNormal(std=0.88, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0),
    TruncatedNormal(mean=0.4, std=0.2, parent_mean=0.1, parent_std=0.4, lower=0.5, upper=math.inf),
    TruncatedNormal(std=0.1, parent_mean=0.5, parent_std=0.1, lower=-math.inf, upper=-8.0),
]
COUNT = 1 << 20
LIMIT = float(stats.norm.isf(0.5e-9))
"""Standard errors that a normal statistic is away, either way, once in 1e9."""


def test_components_are_neighbours_in_the_real_stream() -> None:
    # The definition, with no code of fanin's but the real draw.
    for dtype, real in COMPLEX.items():
        z = generate(Normal(std=0.7), (40, 25), seed=3, name="w", dtype=dtype)
        x = generate(Normal(std=0.7 * math.sqrt(0.5)), (2000,), seed=3, name="w", dtype=real)
        assert (z.reshape(-1).view(real) == x).all()
        z = generate(Uniform(low=0.1, high=0.7), (1000,), seed=3, name="w", dtype=dtype)
        middle, half = 0.5 * 0.1 + 0.5 * 0.7, (0.5 * 0.7 - 0.5 * 0.1) * math.sqrt(0.5)
        first, second = Uniform(low=middle - half, high=middle + half), Uniform(low=-half, high=half)
        assert (z.real == generate(first, (2000,), seed=3, name="w", dtype=real)[0::2]).all()
        assert (z.imag == generate(second, (2000,), seed=3, name="w", dtype=real)[1::2]).all()


@pytest.mark.parametrize("path", PATHS)
def test_golden_numbers(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, path)
    with (VECTORS / "complex.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    known = runpy.run_path(str(VECTORS / "make_complex.py"))
    draws, long = known["DRAWS"], known["LONG"]
    assert {(row["title"], row["dtype"]) for row in rows} == {(t, d) for t in draws for d in COMPLEX}
    for row in rows:
        draw, dtype, begin = draws[row["title"]], row["dtype"], int(row["begin"])
        for part, component in zip(parts(draw), ("real", "imaginary"), strict=True):
            made = recipe(part, COMPLEX[dtype])
            for label in ("scale", "shift", "low", "high"):
                assert float(getattr(made, label)).hex() == row[f"{component} {label}"]
        expected = row["numbers"].split()
        for count in (len(expected) // 2, *([long] if row["sha256"] else [])):
            out = np.zeros(count, dtype)
            fill_range(out, draw, seed=known["SEED"], name=("complex vectors", row["title"]), begin=begin)
            if count == long:
                assert hashlib.sha256(out.tobytes()).hexdigest() == row["sha256"], row["title"]
            else:
                size = out.itemsize // 2
                assert [f"{int(p):0{2 * size}x}" for p in out.view(f"u{size}")] == expected


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("draw", DRAWS[:-1], ids=str)
def test_mean_and_variance_are_what_was_asked(draw: Draw, dtype: str) -> None:
    z = generate(draw, (COUNT,), seed=5, name="w", dtype=dtype)
    check_law(z, draw)


def check_law(z: NDArray[np.complexfloating], draw: Draw) -> None:
    """Raise unless mean, total variance, and the independence of the components are right."""
    assert not isinstance(draw, Constant | Identity)
    x, y = z.real.astype(np.float64), z.imag.astype(np.float64)
    exact: Uniform | Normal = draw if isinstance(draw, Uniform) else Normal(mean=draw.mean, std=draw.std)
    offset = 0.0
    if isinstance(draw, TruncatedNormal):
        # The records above carry any mean and std; those of the samples follow from the parent's.
        mean, variance = stats.truncnorm.stats(draw.lower, draw.upper, moments="mv")
        std = draw.parent_std * math.sqrt(variance)
        exact = Normal(mean=draw.parent_mean + draw.parent_std * float(mean), std=std)
        offset = (exact.mean - draw.mean) * math.sqrt(0.5)
    centre = draw.mean + offset, offset
    square = np.square(x - centre[0]) + np.square(y - centre[1])
    for what, got, wanted, error in (
        ("real mean", x.mean(), centre[0], x.std() / math.sqrt(z.size)),
        ("imaginary mean", y.mean(), centre[1], y.std() / math.sqrt(z.size)),
        ("variance", square.mean(), exact.std**2, square.std() / math.sqrt(z.size)),
        (
            "correlation",
            np.mean((x - centre[0]) * (y - centre[1])),
            0.0,
            x.std() * y.std() / math.sqrt(z.size),
        ),
    ):
        distance = abs(float(got) - wanted) / float(error)
        assert distance < LIMIT, f"the {what} is {distance:.1f} standard errors away"


def test_the_check_of_the_law_can_fail() -> None:
    z = generate(DRAWS[1], (COUNT,), seed=5, name="w", dtype="complex64")
    # What torch.nn.init.normal_ does: the mean on both components.
    with pytest.raises(AssertionError, match="imaginary mean"):
        check_law(z + np.complex64(0.3j), DRAWS[1])
    with pytest.raises(AssertionError, match="variance"):
        check_law((z - 0.3) * np.float32(1.005) + 0.3, DRAWS[1])
    with pytest.raises(AssertionError, match="correlation"):
        check_law(z.real + 1j * (z.real - 0.3), DRAWS[1])


def check_circular(z: NDArray[np.complexfloating], std: float) -> None:
    """Raise unless the modulus is Rayleigh, the phase uniform, and both independent; E|z|^4 = 2 std^4."""
    modulus, phase = np.abs(z).astype(np.float64), np.angle(z).astype(np.float64)
    for p in (
        stats.kstest(modulus, "rayleigh", args=(0.0, std / math.sqrt(2.0))).pvalue,
        stats.kstest(phase, "uniform", args=(-math.pi, 2.0 * math.pi)).pvalue,
        stats.pearsonr(modulus, np.cos(4.0 * phase)).pvalue,
    ):
        if p < 1e-9:
            raise AssertionError(f"not circular, p = {p:.3g}")
    fourth = np.mean(modulus**4) / std**4
    # |z|^2 / std^2 is exponential: the fourth power has variance 4! - 2^2.
    if abs(fourth - 2.0) > LIMIT * math.sqrt(20.0 / z.size):
        raise AssertionError(f"E|z|^4 = {fourth:.4g} std^4")


@pytest.mark.parametrize("dtype", COMPLEX)
def test_a_normal_is_circular(dtype: str) -> None:
    check_circular(generate(Normal(std=0.3), (1 << 18,), seed=8, name="w", dtype=dtype), 0.3)


def test_circularity_can_fail() -> None:
    z = generate(Normal(std=0.3), (1 << 18,), seed=8, name="w", dtype="complex128")
    with pytest.raises(AssertionError, match="not circular"):
        check_circular(z.real * 1.1 + 1j * z.imag * math.sqrt(2.0 - 1.21), 0.3)
    with pytest.raises(AssertionError, match="not circular"):
        check_circular(
            generate(Uniform(low=-1, high=1), z.shape, seed=8, name="w", dtype="complex64"), 3**-0.5
        )


def test_kurtosis_of_components() -> None:
    # A uniform square, not a disk: each component has the uniform's kurtosis of 9/5.
    z = generate(Uniform(low=-1, high=1), (COUNT,), seed=2, name="w", dtype="complex64")
    for part in (z.real, z.imag):
        x = part.astype(np.float64) * math.sqrt(6.0)
        # Fourth moment 9/5, eighth 9: its standard error.
        assert abs(np.mean(x**4) - 1.8) < LIMIT * math.sqrt((9.0 - 1.8**2) / COUNT)
        assert np.abs(part).max() < math.sqrt(0.5)


def test_double_precision_refines_single() -> None:
    for draw in DRAWS:
        single = generate(draw, (10_000,), seed=1, name="w", dtype="complex64")
        double = generate(draw, (10_000,), seed=1, name="w", dtype="complex128")
        assert np.abs(single - double).max() < 3e-6 * np.abs(double).max()


@given(
    draw=st.sampled_from(DRAWS),
    dtype=st.sampled_from(list(COMPLEX)),
    begin=st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 500)),
    size=st.integers(1, 500),
)
@settings(max_examples=60, deadline=None)
def test_kernel_and_reference_agree(draw: Draw, dtype: str, begin: int, size: int) -> None:
    found = []
    for path in PATHS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, path)
            out = np.zeros(size, dtype)
            fill_range(out, draw, seed=1, name="w", begin=begin)
            found.append(out.tobytes())
    assert len(set(found)) == 1


def test_short_way_and_strided_memory() -> None:
    for draw in DRAWS:
        whole = generate(draw, (30, 70), seed=1, name="w", dtype="complex64")
        room = np.zeros((140, 60), np.complex64)
        out = room[::-2, ::2].T
        fill(out, draw, seed=1, name="w")
        assert (out == whole).all()
        assert not room[::2].any()
        turned = generate(
            draw, (70, 30), seed=1, name="w", axes=Axes(roles=(Role.IN, Role.OUT)), dtype="complex64"
        )
        assert (whole == turned.T).all()
        raw = np.zeros(whole.nbytes + 4, np.uint8)[4:].view(np.complex64).reshape(30, 70)
        fill(raw, draw, seed=1, name="w")
        assert (raw == whole).all()
    scalar = np.zeros((), np.complex64)
    fill(scalar, DRAWS[0], seed=1, name="w")
    assert scalar == generate(DRAWS[0], (1,), seed=1, name="w", dtype="complex64")[0]


def test_constant_identity_and_sparse() -> None:
    assert (generate(Constant(value=0.1), (3,), seed=0, name="w", dtype="complex64") == np.float32(0.1)).all()
    eye = generate(Identity(gain=2.0, mean=0.5, std=1.0), (3, 5), seed=0, name="w", dtype="complex128")
    assert (eye == 2.0 * np.eye(3, 5)).all()
    sparse = Sparse(parent_std=0.5, kept=3, std=0.2)
    weight = generate(sparse, (40, 20), seed=4, name="w", dtype="complex64")
    plain = generate(Normal(std=0.5), (40, 20), seed=4, name="w", dtype="complex64")
    kept = generate(sparse, (40, 20), seed=4, name="w") != 0
    assert ((weight != 0).sum(axis=1) == 3).all()
    assert (weight == np.where(kept, plain, 0)).all()


def test_what_cannot_be_drawn_is_refused_and_nothing_is_written() -> None:
    out = np.full(4, 7.0, np.complex64)
    formula = Formula(formula="chrono", numbers=(5.0,), random=True, mean=0.0, std=1.0)
    for draw, text in (
        (formula, r"no complex law[\s\S]*add the imaginary part"),
        (Normal(std=-1.0), r"must be positive[\s\S]*std=-1\.0"),
        (Normal(std=1e38), "do not fit float32"),
        (Uniform(low=1.0, high=1.0), "interval of a uniform draw is empty"),
        (Normal(mean=math.nan, std=1.0), "not finite"),
        (Constant(value=1e39), "do not fit complex64"),
    ):
        with pytest.raises(InputError, match=text):
            fill(out, draw, seed=0, name="w")
    with pytest.raises(InputError, match=r"leaves the stream[\s\S]*2\*\*63"):
        fill_range(out, DRAWS[0], seed=0, name="w", begin=(1 << 63) - 3)
    cut = (slice(0, 1), slice(0, 4))
    with pytest.raises(InputError, match=r"2\*\*63 elements"):
        fill_slice(out[None], DRAWS[0], shape=(1 << 32, 1 << 32), index=cut, seed=0, name="w")
    with pytest.raises(InputError, match="does not match"):
        fill(out, DRAWS[0], seed=0, name="w", dtype="complex128")
    with pytest.raises(InputError, match="does not match"):
        fill(np.zeros(4, ">c8"), DRAWS[0], seed=0, name="w")
    assert (out == 7.0).all()
    fill_range(out, DRAWS[0], seed=0, name="w", begin=(1 << 63) - 4)
    assert (out != 7.0).all()


def test_the_doors_for_other_memory_and_for_many_tensors() -> None:
    class Foreign:
        """Memory of another library."""

        def __init__(self, array: NDArray[np.generic]) -> None:
            self.array = array

        def __dlpack__(self, **kwargs: object) -> object:
            return self.array.__dlpack__(**kwargs)  # type: ignore[arg-type]

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.array.__dlpack_device__()

    names, dtypes = ["a", "b", "c"], ["complex64", "complex128", "float32"]
    outs = [np.zeros((3, 4), dtype) for dtype in dtypes]
    for draw in DRAWS:
        fill_many(outs, draw, seed=1, names=names)
        for name, dtype, out in zip(names, dtypes, outs, strict=True):
            expected = generate(draw, (3, 4), seed=1, name=name, dtype=dtype)
            assert (out == expected).all()
        foreign = np.zeros((3, 4), np.complex64)
        fill(Foreign(foreign), draw, seed=1, name="a")
        assert (foreign == generate(draw, (3, 4), seed=1, name="a", dtype="complex64")).all()
