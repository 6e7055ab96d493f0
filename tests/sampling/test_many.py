"""Many tensors at once: the numbers of `fill` for each, all or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fanin import _kernel
from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, DeltaOrthogonal, Draw, Normal, Orthogonal, TruncatedNormal, Uniform
from fanin.sampling.backends import VARIABLE
from fanin.sampling.cast import storage_of
from fanin.sampling.engine import SERVED, fill
from fanin.sampling.many import fill_many, ready

NORMAL = Normal(std=1.0)
TURNED = Axes(roles=(Role.IN, Role.OUT))
DRAWS: list[Draw] = [
    NORMAL,
    Uniform(low=-1.0, high=2.0),
    TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0),
    TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=8.0, upper=9.0),
    Constant(value=0.5),
    Orthogonal(std=0.5),
]


def alone(shape: tuple[int, ...], draw: Draw, name: Any, axes: Axes | None, dtype: str) -> NDArray[Any]:
    out = np.zeros(shape, storage_of(dtype))
    fill(out, draw, seed=3, name=name, axes=axes, dtype=dtype)
    return out


@pytest.mark.parametrize("path", ["off", "auto", *_kernel.paths()])
def test_all_kinds_together(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, path)
    outs, draws, names, axes, dtypes = [], [], [], [], []
    for k in range(60):
        shape = ((3, 5), (40_000, 1), (7, 2), (1, 1), (0, 4), (33, 8))[k % 6]
        dtype = SERVED[k % len(SERVED)]
        outs.append(np.zeros(shape, storage_of(dtype)))
        kind = DRAWS[k // 6 % len(DRAWS)]
        # No matrix is empty.
        draws.append(NORMAL if 0 in shape else kind)
        names.append(("packed", f"part {k}") if k % 7 == 0 else "n" * (k + 60))
        axes.append(TURNED if k % 5 == 0 else None)
        dtypes.append(dtype)
    # One that is no run of memory.
    outs[12] = np.zeros((14, 4), outs[12].dtype)[::2, ::2]
    fill_many(outs, draws, seed=3, names=names, axes=axes, dtypes=dtypes)
    for k, out in enumerate(outs):
        expected = alone(out.shape, draws[k], names[k], axes[k], dtypes[k])
        assert out.tobytes() == expected.tobytes(), k


@pytest.mark.parametrize("path", _kernel.paths())
@pytest.mark.parametrize("threads", [1, 3, None])
def test_names_of_every_length(path: str, threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    # Keys of eight (four) names are hashed side by side; one of them may not fit the block.
    monkeypatch.setenv(VARIABLE, path)
    names = ["n" * size for size in range(1, 100)] + ["é" * size for size in range(1, 50)] + ["\N{SNOWMAN}"]
    outs = [np.zeros(5, np.float32) for _ in names]
    fill_many(outs, NORMAL, seed=3, names=names, threads=threads)
    for out, name in zip(outs, names, strict=True):
        assert out.tobytes() == alone((5,), NORMAL, name, None, "float32").tobytes()


@pytest.mark.parametrize("path", ["off", *_kernel.paths()])
@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_beside_each_other_in_one_memory(
    path: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Queries, keys and values of a matrix stored (in, out): other blocks lie between a block's columns.
    monkeypatch.setenv(VARIABLE, path)
    packed = np.zeros((36, 3 * 40), np.float32)
    names = [("attention", part) for part in "qkv"]
    outs = [packed[:, 40 * k : 40 * (k + 1)] for k in range(3)]
    tall, bias = np.zeros((9000, 8), np.float32), np.zeros(40, np.float32)
    fill_many(
        [*outs, tall, bias],
        [NORMAL] * 4 + [Constant(value=0.25)],
        seed=3,
        names=[*names, "tall", "bias"],
        axes=[TURNED] * 3 + [None] * 2,
        threads=threads,
    )
    for out, name in zip(outs, names, strict=True):
        assert out.tobytes() == alone((36, 40), NORMAL, name, TURNED, "float32").tobytes()
    assert tall.tobytes() == alone((9000, 8), NORMAL, "tall", None, "float32").tobytes()
    assert (bias == 0.25).all()


@pytest.mark.parametrize("path", ["off", "auto"])
def test_what_is_ready_is_checked_and_not_yet_written(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, path)
    outs = [np.zeros((4, 5), np.float32), np.zeros(3, np.float32), np.zeros(2, np.float32)]
    names: list[str | tuple[str, ...]] = ["a", ("b", "1"), "c"]
    draws = [NORMAL, NORMAL, Constant(value=1.0)]
    draw = ready(outs, draws, seed=3, names=names, axes=[TURNED, None, None])
    assert not any(out.any() for out in outs)
    # What the caller does with the lists afterwards is nobody's business.
    expected = [alone(o.shape, d, n, None, "float32") for o, d, n in zip(outs, draws, names, strict=True)]
    expected[0] = alone((4, 5), NORMAL, "a", TURNED, "float32")
    held = list(outs)
    names[:] = ["x"] * 3
    outs.clear()
    draw()
    assert [out.tobytes() for out in held] == [right.tobytes() for right in expected]
    shared = np.lib.stride_tricks.as_strided(np.zeros(20, np.float32), (4, 4), (4, 4))
    with pytest.raises(InputError, match="Elements of the output share memory"):
        ready([np.zeros(3, np.float32), shared], NORMAL, seed=3, names=["a", "b"])


def test_what_holds_for_all_and_other_memory() -> None:
    tensors = [torch.zeros(3, 4, dtype=torch.bfloat16) for _ in range(9)]
    fill_many(tensors, NORMAL, seed=3, names=[str(k) for k in range(9)], axes=TURNED)
    for k, tensor in enumerate(tensors):
        expected = alone((3, 4), NORMAL, str(k), TURNED, "bfloat16")
        assert tensor.view(torch.uint16).numpy().tobytes() == expected.tobytes()
    patterns = [np.zeros(6, np.uint8) for _ in range(9)]
    fill_many(patterns, NORMAL, seed=3, names=[str(k) for k in range(9)], dtypes="float8_e5m2")
    assert patterns[8].tobytes() == alone((6,), NORMAL, "8", None, "float8_e5m2").tobytes()
    fill_many([], NORMAL, seed=3, names=[])


def frozen() -> NDArray[Any]:
    out = np.zeros(4, np.float32)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outs": frozen()}, "The output is read-only"),
        ({"outs": np.zeros(4, np.int32)}, "says no floating-point format"),
        ({"outs": [1.0]}, "no memory that can be filled"),
        ({"names": ""}, "The name of a stream is no text"),
        ({"names": 3}, "The name of a stream is no text"),
        ({"names": "\ud800"}, "cannot be encoded"),
        ({"draws": Normal(std=-1.0)}, "The std of a random draw must be positive"),
        ({"draws": Constant(value=float("nan"))}, "not finite"),
        ({"axes": TURNED}, "Axes do not fit the shape"),
        ({"dtypes": "float16"}, "The output's dtype does not match"),
        ({"dtypes": "float31"}, "Unknown dtype"),
        ({"draws": DeltaOrthogonal(std=1.0), "outs": np.zeros((2, 4, 3), np.float32)}, "output"),
    ],
    ids=str,
)
@pytest.mark.parametrize("at", [0, 3, 8])
def test_one_that_cannot_be_filled_and_none_is(change: dict[str, Any], message: str, at: int) -> None:
    lists: dict[str, list[Any]] = {
        "outs": [np.zeros(4, np.float32) for _ in range(9)],
        "draws": [NORMAL] * 9,
        "names": [f"w{k}" for k in range(9)],
        "axes": [None] * 9,
        "dtypes": [None] * 9,
    }
    for what, value in change.items():
        lists[what][at] = value
    outs = lists.pop("outs")
    with pytest.raises(InputError, match=message):
        fill_many(outs, lists.pop("draws"), seed=3, **lists)  # type: ignore[arg-type]
    assert all((out == 0).all() for out in outs if isinstance(out, np.ndarray))


@pytest.mark.parametrize("seed", [-1, 1 << 64, True, 0.5])
def test_seeds_and_threads_are_checked(seed: Any) -> None:
    out = np.zeros(4, np.float32)
    with pytest.raises(InputError, match="The seed is out of range"):
        fill_many([out], NORMAL, seed=seed, names=["w"])
    with pytest.raises(InputError, match="The number of threads is not positive"):
        fill_many([out], NORMAL, seed=0, names=["w"], threads=0)
    assert (out == 0).all()


def test_outputs_that_share_memory() -> None:
    memory = np.zeros(100, np.float32)
    for second in (memory[:50], memory[20:30], memory[49:51], memory[:50]):
        with pytest.raises(InputError, match="Two outputs share memory"):
            fill_many([memory[:50], second, memory[60:]], NORMAL, seed=0, names=["a", "b", "c"])
        assert (memory == 0).all()
    fill_many([memory[50:], memory[:50], memory[7:7]], NORMAL, seed=0, names=["a", "b", "c"])
    assert (memory != 0).all()


def test_lists_of_different_lengths() -> None:
    outs = [np.zeros(4, np.float32) for _ in range(2)]
    for wrong in ({"names": ["a"]}, {"draws": [NORMAL]}, {"axes": [None] * 3}, {"dtypes": ["float32"]}):
        options: dict[str, Any] = {"names": ["a", "b"], "draws": NORMAL} | wrong
        with pytest.raises(InputError, match="The lists do not have one length"):
            fill_many(outs, options.pop("draws"), seed=0, **options)
    assert not any(out.any() for out in outs)


def test_the_kernel_takes_addresses_as_well() -> None:
    tensors = [torch.zeros(40) for _ in range(20)]
    recipe = _kernel.Recipe(
        dtype=0, kind=1, wide=False, scale=1.0, shift=0.0, low=-1.0, high=1.0, start=0, width=0
    )
    names = [str(k) for k in range(20)]
    addresses = [tensor.data_ptr() for tensor in tensors]
    _kernel.fill_memory(addresses, [40] * 20, recipe, names, 3, 2, "auto")
    for name, tensor in zip(names, tensors, strict=True):
        assert tensor.numpy().tobytes() == alone((40,), NORMAL, name, None, "float32").tobytes()
    for wrong in ([addresses[0] + 1], [addresses[0], addresses[0] + 4]):
        with pytest.raises(ValueError, match=r"misaligned|share memory"):
            _kernel.fill_memory(wrong, [40] * len(wrong), recipe, names[: len(wrong)], 3, 1, "auto")
