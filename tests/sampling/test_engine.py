"""The door: layouts, ranges, threads, dtypes, and errors that leave the output alone."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Draw, Normal, Orthogonal, TruncatedNormal, Uniform
from fanin.sampling import backends
from fanin.sampling.backends import VARIABLE
from fanin.sampling.cast import DTYPES, decode, encode, format_of
from fanin.sampling.engine import fill, fill_range, generate
from fanin.sampling.recipe import recipe

NORMAL = Normal(std=1.0)
TRUNCATED = TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0)
ELEMENTWISE: list[Draw] = [Constant(value=0.5), Uniform(low=-1.0, high=2.0), NORMAL, TRUNCATED]


def made(draw: Draw, shape: tuple[int, ...], **more: Any) -> NDArray[Any]:
    return generate(draw, shape, seed=1, name="w", **more)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("draw", ELEMENTWISE, ids=str)
def test_small_dtypes_round_the_float32_draw_once(draw: Draw, dtype: str) -> None:
    got = made(draw, (7, 11), dtype=dtype)
    assert got.dtype == format_of(dtype).storage
    if dtype == "float64":
        # One rounding of float32 at |x| < 8, and the error of the float32 inverse CDF.
        assert np.abs(got - made(draw, (7, 11))).max() < 2.0**-21 + 1e-6
    else:
        assert (got == encode(made(draw, (7, 11)), dtype)).all()


@given(
    roles=st.lists(st.sampled_from(list(Role)), min_size=1, max_size=5),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_layouts_hold_the_same_connection(roles: list[Role], data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=len(roles), max_size=len(roles))))
    axes = Axes(roles=tuple(roles))
    order = axes.logical_order
    logical = made(NORMAL, tuple(shape[k] for k in order))
    assert (made(NORMAL, shape, axes=axes).transpose(order) == logical).all()


def test_in_out_is_the_transpose_of_out_in() -> None:
    stored = made(NORMAL, (300, 500), axes=Axes(roles=(Role.IN, Role.OUT)))
    assert (stored == made(NORMAL, (500, 300)).T).all()


TURNED = [
    ((300, 500), (Role.IN, Role.OUT)),
    ((1021, 33), (Role.IN, Role.OUT)),
    ((64, 8), (Role.IN, Role.OUT)),
    ((3, 3, 70, 41), (Role.RECEPTIVE, Role.RECEPTIVE, Role.IN, Role.OUT)),
    ((3, 1, 5, 90, 32), (Role.RECEPTIVE, Role.RECEPTIVE, Role.BATCH, Role.IN, Role.OUT)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "roles"), TURNED)
@pytest.mark.parametrize("threads", [1, 3])
def test_turned_tiles_hold_the_same_connection(
    shape: tuple[int, ...], roles: tuple[Role, ...], dtype: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_PER_THREAD", 1)
    axes = Axes(roles=roles)
    out = np.zeros(shape, format_of(dtype).storage)
    fill(out, TRUNCATED, seed=1, name="w", axes=axes, dtype=dtype, threads=threads)
    order = axes.logical_order
    logical = made(TRUNCATED, tuple(shape[k] for k in order), dtype=dtype)
    assert (out.transpose(order) == logical).all()


def test_any_strides_and_only_the_view() -> None:
    base = np.full((20, 20), 7.0, np.float32)
    fill(base[3:17:2, 18:2:-3], NORMAL, seed=1, name="w")
    assert (base[3:17:2, 18:2:-3] == made(NORMAL, (7, 6))).all()
    base[3:17:2, 18:2:-3] = 7.0
    assert (base == 7.0).all()


def test_unaligned_memory() -> None:
    raw = np.zeros(4 * 100 + 1, np.uint8)
    out = raw[1:].view(np.float32)
    fill(out, NORMAL, seed=1, name="w")
    assert (out == made(NORMAL, (100,))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@given(begin=st.integers(0, 5000), size=st.integers(0, 3000))
@settings(max_examples=20, deadline=None)
def test_any_range_alone(dtype: str, begin: int, size: int) -> None:
    whole = made(TRUNCATED, (8000,), dtype=dtype)
    part = np.zeros(size, format_of(dtype).storage)
    fill_range(part, TRUNCATED, seed=1, name="w", begin=begin, dtype=dtype)
    assert (part == whole[begin : begin + size]).all()


def test_the_last_element_of_a_stream() -> None:
    last, more = np.zeros(1, np.float32), np.zeros(5, np.float32)
    fill_range(last, NORMAL, seed=1, name="w", begin=(1 << 64) - 1)
    fill_range(more, NORMAL, seed=1, name="w", begin=(1 << 64) - 5)
    assert more[-1] == last[0]
    with pytest.raises(InputError, match="The range leaves the stream"):
        fill_range(more, NORMAL, seed=1, name="w", begin=(1 << 64) - 4)


@pytest.mark.parametrize("path", ["off", "auto"])
def test_threads_change_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, path)
    one, many = np.zeros(300_001, np.float32), np.zeros(300_001, np.float32)
    fill(one, NORMAL, seed=1, name="w", threads=1)
    fill(many, NORMAL, seed=1, name="w", threads=7)
    assert (one == many).all()


def test_seed_and_name_change_everything() -> None:
    base = made(NORMAL, (1000,))
    assert (generate(NORMAL, (1000,), seed=2, name="w") != base).mean() > 0.99
    assert (generate(NORMAL, (1000,), seed=1, name="v") != base).mean() > 0.99


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4)])
@pytest.mark.parametrize("draw", ELEMENTWISE, ids=str)
def test_empty_tensors_are_left_alone(shape: tuple[int, ...], draw: Draw) -> None:
    assert made(draw, shape).shape == shape


def test_scalars() -> None:
    assert made(NORMAL, ()) == made(NORMAL, (1,))[0]


def test_arrays_of_ml_dtypes() -> None:
    out = np.zeros(10, ml_dtypes.bfloat16)
    fill(out, NORMAL, seed=1, name="w")
    assert (out.view(np.uint16) == made(NORMAL, (10,), dtype="bfloat16")).all()


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (Normal(std=0.0), r"The std of a random draw must be positive. Received: std=0.0"),
        (Normal(std=-1.0), "std=-1.0"),
        (Normal(std=math.nan), "The std of a draw is not finite. Received: std=nan"),
        (Normal(std=math.inf), "std=inf"),
        (Normal(mean=math.nan, std=1.0), "The mean of a draw is not finite"),
        (Normal(std=1e39), "does not fit float32"),
        (Normal(std=1e38), r"The values do not fit float32.*largest finite float32 is 3.403e\+38"),
        (Uniform(low=1.0, high=1.0), "The interval of a uniform draw is empty.*low must be less than high"),
        (Uniform(low=2.0, high=1.0), "low=2.0, high=1.0"),
        (Uniform(low=math.nan, high=1.0), "The low of a draw is not finite"),
        (Uniform(low=0.1, high=0.1 + 1e-12), "The interval holds no float32 number"),
        (Constant(value=math.nan), "The value of a draw is not finite"),
        (Constant(value=1e39), "The values do not fit float32"),
        (
            TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=1.0, upper=1.0),
            "The interval of a truncated normal is empty",
        ),
        (
            TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=math.nan, upper=1.0),
            "lower=nan",
        ),
        (
            TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=0.0, lower=-1.0, upper=1.0),
            "The parent_std of a random draw must be positive",
        ),
        (Orthogonal(gain=0.0, std=1.0), "The gain of an orthogonal draw must be positive"),
        (Orthogonal(gain=math.nan, std=1.0), "gain"),
    ],
)
def test_bad_draws_leave_the_output_alone(draw: Draw, text: str) -> None:
    out = np.full((4, 4), 7.0, np.float32)
    with pytest.raises(InputError, match=text):
        fill(out, draw, seed=0, name="w")
    assert (out == 7.0).all()


@pytest.mark.parametrize(
    ("out", "dtype", "text"),
    [
        (np.zeros(4, np.int32), None, "The output's dtype says no floating-point format"),
        (np.zeros(4, np.uint16), None, "an array of uint16 without dtype.*name the format"),
        (np.zeros(4, np.uint16), "float32", "The output's dtype does not match.*stored as native float32"),
        (np.zeros(4, np.float32), "bfloat16", "stored as native uint16"),
        (np.zeros(4, ">f4"), None, "does not match"),
        (np.zeros(4, np.float32), "float31", r"Unknown dtype. Received: 'float31'.*float32"),
        ([0.0], None, "The output is no memory that can be filled. Received: list"),
    ],
)
def test_bad_outputs(out: Any, dtype: str | None, text: str) -> None:
    with pytest.raises(InputError, match=text):
        fill(out, NORMAL, seed=0, name="w", dtype=dtype)


def test_read_only_output() -> None:
    out = np.zeros(4, np.float32)
    out.flags.writeable = False
    with pytest.raises(InputError, match="The output is read-only"):
        fill(out, NORMAL, seed=0, name="w")


def test_bad_arguments_leave_the_output_alone() -> None:
    out = np.full(4, 7.0, np.float32)
    for arguments in (
        {"seed": -1, "name": "w"},
        {"seed": 0, "name": ""},
        {"seed": 0, "name": "w", "threads": 0},
        {"seed": 0, "name": "w", "axes": Axes(roles=(Role.OUT, Role.IN))},
    ):
        with pytest.raises(InputError):
            fill(out, NORMAL, **arguments)  # type: ignore[arg-type]
    assert (out == 7.0).all()


def test_float8_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(InputError, match=r"The values do not fit float8_e4m3fn.*largest finite.* 448"):
        made(Normal(std=100.0), (4,), dtype="float8_e4m3fn")
    assert np.isfinite(decode(made(Normal(std=70.0), (4,), dtype="float8_e4m3fn"), "float8_e4m3fn")).all()


def test_uniform_bounds_hold_after_rounding() -> None:
    values = made(Uniform(low=0.1, high=0.1 + 3e-8), (1000,)).astype(np.float64)
    assert values.min() >= 0.1
    assert values.max() <= 0.1 + 3e-8


def test_a_draw_without_a_recipe() -> None:
    with pytest.raises(InputError, match=r"This draw has no elementwise recipe\. Received: Orthogonal"):
        recipe(Orthogonal(std=1.0), "float32")
