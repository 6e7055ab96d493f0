"""The kernel and the reference agree to the last bit, on every path this processor runs."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanin import _kernel
from fanin.errors import InputError
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.backends import VARIABLE, fill_flat
from fanin.sampling.cast import DTYPES, format_of
from fanin.sampling.engine import backend, generate
from fanin.sampling.philox import words
from fanin.sampling.recipe import recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import StreamKey

PATHS = _kernel.paths()

word = st.integers(0, 2**32 - 1)
keys = st.builds(StreamKey, key0=word, key1=word, counter2=word, counter3=word)
begins = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 20_000))
sizes = st.integers(0, 9000)
scales = st.floats(1e-6, 1.0)
shifts = st.one_of(st.just(0.0), st.floats(-2.0, 2.0))


@st.composite
def draws(pick: st.DrawFn) -> Draw:
    """Any elementwise random draw that float8_e4m3fn can hold."""
    scale, shift = pick(scales), pick(shifts)
    kind = pick(st.sampled_from(["uniform", "normal", "truncated", "half", "narrow", "far"]))
    if kind == "uniform":
        return Uniform(low=shift - scale, high=shift + scale)
    if kind == "normal":
        return Normal(mean=shift, std=scale)
    low = pick(st.floats(-5.0, 3.0))
    lower, upper = {
        "truncated": (low, low + pick(st.floats(0.1, 8.0))),
        "half": pick(st.sampled_from([(low, math.inf), (-math.inf, low)])),
        "narrow": (low, low + pick(st.floats(1e-3, 0.1))),
        "far": pick(st.sampled_from([(7.5, math.inf), (-9.0, -8.0)])),
    }[kind]
    return TruncatedNormal(std=scale, parent_mean=shift, parent_std=scale, lower=lower, upper=upper)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equality that tells +0 from -0."""
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def test_kernel_is_built_and_used() -> None:
    assert backend() == "kernel"
    assert "portable" in PATHS


@pytest.mark.parametrize("path", PATHS)
@given(key=keys, begin=begins, size=sizes)
@settings(max_examples=30, deadline=None)
def test_words_equal_reference(path: str, key: StreamKey, begin: int, size: int) -> None:
    out = np.zeros(size, np.uint32)
    _kernel.words(out.view(np.uint8), begin, key.words, path)
    assert same_bits(out, words(key, begin, begin + size))


@pytest.mark.parametrize("path", PATHS)
@given(draw=draws(), dtype=st.sampled_from(DTYPES), key=keys, begin=begins, size=sizes)
@settings(max_examples=150, deadline=None)
def test_fill_equals_reference(
    path: str, draw: Draw, dtype: str, key: StreamKey, begin: int, size: int
) -> None:
    made = recipe(draw, dtype)
    out = np.zeros(size, format_of(dtype).storage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, path)
        fill_flat(out, made, key, begin, dtype, None)
    assert same_bits(out, elements(made, key, begin, begin + size, dtype))


LONG: list[Draw] = [
    Normal(mean=0.0, std=1.0),
    TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-1.7, upper=2.9),
    TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=0.0, upper=math.inf),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("draw", LONG, ids=str)
def test_long_streams_reach_the_rare_cases(path: str, dtype: str, draw: Draw) -> None:
    # 2**20 words: some 2**12 lie beyond the octaves that the narrow AVX2 path keeps in registers (for
    # float64 on AVX-512, some 2**5), and a window that is off by half a word shows.
    key = StreamKey(key0=1, key1=2, counter2=3, counter3=4)
    made = recipe(draw, dtype)
    out = np.zeros(1 << 20, format_of(dtype).storage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, path)
        fill_flat(out, made, key, 5, dtype, 2)
    assert same_bits(out, elements(made, key, 5, 5 + out.size, dtype))


def test_off_forces_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0)
    fast = generate(draw, (1000,), seed=3, name="w")
    monkeypatch.setenv(VARIABLE, "off")
    assert backend() == "reference"
    assert same_bits(generate(draw, (1000,), seed=3, name="w"), fast)


def test_an_unknown_path_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "avx1024")
    with pytest.raises(InputError, match=r"Unknown FANIN_KERNEL path. Received: 'avx1024'.*'avx512'"):
        backend()


def test_the_kernel_never_fills_a_converted_copy() -> None:
    with pytest.raises(TypeError):
        _kernel.words(np.zeros(8, np.float64), 0, (0, 0, 0, 0), "auto")
    with pytest.raises(TypeError):
        _kernel.words(np.zeros(16, np.uint8)[::2], 0, (0, 0, 0, 0), "auto")
    read_only = np.zeros(16, np.uint8)
    read_only.flags.writeable = False
    with pytest.raises(TypeError):
        _kernel.words(read_only, 0, (0, 0, 0, 0), "auto")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="asks the processor through Linux")
def test_every_path_of_this_processor_is_built() -> None:
    # Otherwise the equality tests above would pass by not running.
    flags = set(re.findall(r"\w+", Path("/proc/cpuinfo").read_text()))
    expected = ["portable"]
    if "avx2" in flags:
        expected.insert(0, "avx2")
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        expected.insert(0, "avx512")
    if "asimd" in flags:
        expected.insert(0, "neon")
    assert expected == PATHS
