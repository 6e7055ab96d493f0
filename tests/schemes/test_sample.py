"""The sample door: names, shapes, layouts, dtypes and what it refuses."""

from __future__ import annotations

import importlib
import math

import ml_dtypes
import numpy as np
import pytest

import fanin
from fanin.errors import InputError, UnknownNameError
from fanin.records.draw import Normal
from fanin.schemes import sample as module

sample = fanin.sample


def test_a_scheme_its_name_and_its_draw_are_one() -> None:
    by_scheme = sample(fanin.he_normal(), (8, 4), seed=1, name="w")
    assert (sample("he_normal", (8, 4), seed=1, name="w") == by_scheme).all()
    assert (sample("kaiming_normal", (8, 4), seed=1, name="w") == by_scheme).all()
    assert (sample(fanin.he_normal().draw((8, 4)), (8, 4), seed=1, name="w") == by_scheme).all()


def test_the_same_connection_has_the_same_number_in_every_layout() -> None:
    torch_like = sample("he_normal", (6, 4, 3, 2), seed=1, name="w")
    keras_like = sample("he_normal", (3, 2, 4, 6), seed=1, name="w", axes="receptive receptive in out")
    assert (keras_like.transpose(3, 2, 0, 1) == torch_like).all()


def test_shapes() -> None:
    assert sample("zeros", 3, seed=0, name="b").shape == (3,)
    assert sample("zeros", (), seed=0, name="b").shape == ()
    assert sample("zeros", np.array([2, 3]), seed=0, name="b").shape == (2, 3)
    # An empty weight breaks no law, even where its fan is zero.
    assert sample("he_normal", (0, 4), seed=0, name="w").shape == (0, 4)
    assert sample("orthogonal", (4, 0), seed=0, name="w", dtype="bfloat16").dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("shape", [(2, -1), "ab", "34", 2.5, (2.5, 3), (math.inf, 2), (math.nan,), None])
def test_shapes_that_are_none(shape: object) -> None:
    with pytest.raises(InputError, match="A shape is a sequence of whole numbers"):
        sample("zeros", shape, seed=0, name="w")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", np.float32),
        (np.float32, np.float32),
        ("f8", np.float64),
        (np.dtype("float16"), np.float16),
        (float, np.float64),
        ("bfloat16", ml_dtypes.bfloat16),
        (ml_dtypes.bfloat16, ml_dtypes.bfloat16),
        ("float8_e4m3fn", ml_dtypes.float8_e4m3fn),
        (np.dtype(ml_dtypes.float8_e5m2), ml_dtypes.float8_e5m2),
    ],
)
def test_dtypes(dtype: object, expected: type) -> None:
    weight = sample(Normal(std=1.0), (64, 64), seed=2, name="w", dtype=dtype)
    assert weight.dtype == np.dtype(expected)
    wide = sample(Normal(std=1.0), (64, 64), seed=2, name="w")
    # One rounding of the float32 numbers; float64 refines them instead.
    if weight.dtype == np.float64:
        np.testing.assert_allclose(weight, wide, rtol=1e-5, atol=1e-6)
    else:
        assert (weight == wide.astype(expected)).all()


@pytest.mark.parametrize("dtype", ["int32", np.int8, bool, "uint16"])
def test_integers_are_refused(dtype: object) -> None:
    with pytest.raises(InputError, match=r"cannot be drawn in this dtype.*Draw in float32 and quantize"):
        sample("he_normal", (4, 4), seed=0, name="w", dtype=dtype)


@pytest.mark.parametrize("dtype", ["float31", object, ml_dtypes.float8_e4m3b11fnuz])
def test_other_dtypes_are_refused(dtype: object) -> None:
    with pytest.raises(InputError, match=r"cannot be drawn in this dtype.*It is one of float32"):
        sample("he_normal", (4, 4), seed=0, name="w", dtype=dtype)


def test_without_ml_dtypes_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"NumPy alone has no such dtype.*'bfloat16'.*pip install ml-dtypes"):
        module.sample("zeros", (2,), seed=0, name="w", dtype="bfloat16")
    assert module.sample("zeros", (2,), seed=0, name="w", dtype="float16").dtype == np.float16


def test_a_factory_is_no_scheme() -> None:
    with pytest.raises(InputError, match=r"This is no scheme.*Call the factory"):
        sample(fanin.he_normal, (4, 4), seed=0, name="w")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"This is no scheme\. Received: 7 \(int\)"):
        sample(7, (4, 4), seed=0, name="w")  # type: ignore[arg-type]


def test_names_and_roles_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'he_normal'"):
        sample("he_normall", (4, 4), seed=0, name="w")
    with pytest.raises(InputError, match="exactly one role a dimension"):
        sample("zeros", (4, 4), seed=0, name="w", axes="out")
    with pytest.raises(InputError, match="fewer than two dimensions"):
        sample("he_normal", (4,), seed=0, name="w")


def test_a_weight_beyond_memory_is_refused_before_anything_is_asked_for() -> None:
    with pytest.raises(
        InputError,
        match=r"this machine's memory\. Received: shape \(1048576, 1048576, 64\): 2\.621e\+05 GiB",
    ):
        fanin.sample("he_normal", (1 << 20, 1 << 20, 64), seed=0, name="w")


def test_out_is_filled_in_place() -> None:
    expected = sample("he_normal", (4, 6), seed=0, name="w")
    for given in (np.zeros((4, 6), np.float32), np.zeros((8, 12), np.float32)[::2, ::-2]):
        assert sample("he_normal", (4, 6), seed=0, name="w", out=given) is given
        assert (given == expected).all()
    wide = np.zeros((4, 6))
    assert sample("he_normal", (4, 6), seed=0, name="w", out=wide).dtype == np.float64
    bits = np.zeros((4, 6), np.uint16)
    sample("he_normal", (4, 6), seed=0, name="w", out=bits, dtype="bfloat16")
    brain = sample("he_normal", (4, 6), seed=0, name="w", dtype="bfloat16")
    assert (bits == brain.view(np.uint16)).all()
    assert (sample("he_normal", (4, 6), seed=0, name="w", out=np.zeros_like(brain)) == brain).all()
    turned = np.zeros((6, 4), np.complex64)
    sample("he_normal", (6, 4), seed=0, name="w", axes="in out", out=turned)
    assert (sample("he_normal", (4, 6), seed=0, name="w", dtype="complex64") == turned.T).all()
    empty = np.zeros((0, 6), np.float32)
    assert sample("he_normal", (0, 6), seed=0, name="w", out=empty) is empty


def test_an_out_that_does_not_fit_is_refused_untouched() -> None:
    out = np.full((4, 6), 7.0, np.float32)
    frozen = out.copy()
    frozen.flags.writeable = False
    for given, dtype, text in (
        (out.T, None, r"no array of the weight's shape.*\(6, 4\)"),
        ([[0.0]], None, "no array of the weight's shape"),
        (out, "float64", "does not match"),
        (out.astype(int), None, "'int64'.*Draw in float32 and quantize"),
        (frozen, None, "read-only"),
    ):
        with pytest.raises(InputError, match=text):
            sample("he_normal", (4, 6), seed=0, name="w", out=given, dtype=dtype)  # type: ignore[arg-type]
    assert (out == 7.0).all()
    assert (frozen == 7.0).all()


def test_other_complex_formats_are_refused() -> None:
    with pytest.raises(InputError, match=r"'complex32'.*Use complex64 or complex128"):
        sample("he_normal", (4, 4), seed=0, name="w", dtype="complex32")
