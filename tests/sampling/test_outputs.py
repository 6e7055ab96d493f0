"""Any memory is filled where it lies: by DLPack, the buffer protocol or an address, without a copy."""

from __future__ import annotations

import array
import ctypes
import gc
import mmap
import re
import weakref
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

from fanin.errors import InputError
from fanin.records.draw import Constant, Draw, Normal, Orthogonal
from fanin.sampling.address import Memory, array_at
from fanin.sampling.dlpack import memory_of
from fanin.sampling.engine import SERVED, fill, fill_range, fill_slice, generate
from fanin.sampling.outputs import array_of

NORMAL = Normal(std=1.0)


def expected(shape: tuple[int, ...], dtype: str, draw: Draw = NORMAL) -> bytes:
    return generate(draw, shape, seed=0, name="w", dtype=dtype).tobytes()


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", SERVED)
@pytest.mark.parametrize(
    "draw", [NORMAL, Constant(value=0.5), Orthogonal(std=0.5, gain=1.0)], ids=lambda d: type(d).__name__
)
def test_torch_tensors_in_every_dtype(dtype: str, draw: Draw) -> None:
    tensor = torch.zeros(4, 6, dtype=getattr(torch, dtype))
    fill(tensor, draw, seed=0, name="w")
    assert raw(tensor) == expected((4, 6), dtype, draw)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_strided_torch_tensors(dtype: str) -> None:
    whole = torch.zeros(8, 9, 5, dtype=getattr(torch, dtype))
    part = whole[::2, 1::3].permute(2, 0, 1)
    fill(part, NORMAL, seed=0, name="w")
    assert raw(part) == expected((5, 4, 3), dtype)
    assert int((whole != 0).sum()) == part.numel()


def test_no_copy_is_made() -> None:
    tensor = torch.zeros(10, dtype=torch.bfloat16)[3:]
    found = memory_of(tensor)
    assert found.address == tensor.data_ptr()
    assert found.dtype == "bfloat16"
    view, named = array_of(tensor, None)
    assert view.ctypes.data == tensor.data_ptr()
    assert named == "bfloat16"
    numbers = array.array("d", [0.0] * 5)
    assert array_of(numbers, None)[0].ctypes.data == numbers.buffer_info()[0]
    buffer = (ctypes.c_float * 4)()
    assert array_of(buffer, None)[0].ctypes.data == ctypes.addressof(buffer)
    values = np.zeros(3, np.float32)
    assert array_of(values, None)[0] is values


def test_memory_lives_as_long_as_its_view() -> None:
    class Owned(np.ndarray[Any, Any]):
        pass

    values = np.zeros(1000, np.float32).view(Owned)
    alive = weakref.ref(values)
    view = array_at(Memory(address=values.ctypes.data, shape=(1000,), dtype="float32", owner=values))
    part = view[10:]
    del values, view
    gc.collect()
    assert alive() is not None
    del part
    gc.collect()
    assert alive() is None
    tensor = torch.zeros(5)
    alive_tensor = weakref.ref(tensor)
    view, _ = array_of(tensor, None)
    del tensor
    gc.collect()
    assert alive_tensor() is not None
    del view
    gc.collect()
    assert alive_tensor() is None


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda: array.array("f", [0.0] * 12), "float32"),
        (lambda: array.array("d", [0.0] * 12), "float64"),
        (ctypes.c_double * 12, "float64"),
        (ctypes.c_uint16 * 12, "bfloat16"),
        (lambda: memoryview(np.zeros(12, np.float16)), "float16"),
        (lambda: bytearray(12), "float8_e4m3fn"),
        (lambda: mmap.mmap(-1, 12), "float8_e5m2"),
        (lambda: np.zeros(12, ml_dtypes.bfloat16), "bfloat16"),
        (lambda: np.zeros(12, ml_dtypes.float8_e5m2), "float8_e5m2"),
    ],
)
def test_buffers(make: Any, dtype: str) -> None:
    out = make()
    fill(out, NORMAL, seed=0, name="w", dtype=dtype)
    data = (
        out[:]
        if isinstance(out, mmap.mmap)
        else bytes(memoryview(out))
        if not isinstance(out, np.ndarray)
        else out.tobytes()
    )
    assert data == expected((12,), dtype)


def test_a_strided_memoryview() -> None:
    values = np.zeros((6, 8), np.float32)
    fill(memoryview(values)[::2], NORMAL, seed=0, name="w")
    assert values[::2].tobytes() == expected((3, 8), "float32")
    assert (values[1::2] == 0).all()


@pytest.mark.parametrize("dtype", SERVED)
def test_addresses(dtype: str) -> None:
    whole = generate(NORMAL, (6, 4), seed=0, name="w", dtype=dtype)
    out = np.zeros((4, 6), whole.dtype)
    size = out.itemsize
    # The last row first, columns as rows.
    memory = Memory(
        address=out.ctypes.data + 18 * size, shape=(6, 4), dtype=dtype, strides=(size, -6 * size), owner=out
    )
    fill(memory, NORMAL, seed=0, name="w")
    assert out[::-1].T.tobytes() == whole.tobytes()


def test_ranges_and_slices_take_them_too() -> None:
    whole = generate(NORMAL, (8, 4), seed=0, name="w")
    tensor = torch.zeros(5)
    fill_range(tensor, NORMAL, seed=0, name="w", begin=7)
    assert tensor.numpy().tobytes() == whole.reshape(-1)[7:12].tobytes()
    shard = torch.zeros(2, 4)
    fill_slice(shard, NORMAL, shape=(8, 4), index=(slice(2, 4), slice(0, 4)), seed=0, name="w")
    assert shard.numpy().tobytes() == whole[2:4].tobytes()


class Exporter:
    """An exporter that tells another device, or hands out what a test says."""

    def __init__(self, kind: int, capsule: Any = None) -> None:
        self.kind, self.capsule = kind, capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, 0

    def __dlpack__(self, **options: Any) -> Any:
        if options:
            raise TypeError("knows no options")
        return self.capsule


class OldExporter(Exporter):
    """Its capsules say nothing of writing; items can be set."""

    def __setitem__(self, place: object, value: object) -> None:
        raise NotImplementedError


def test_old_capsules_of_writable_arrays() -> None:
    values = np.zeros(4, np.float32)
    fill(OldExporter(1, values.__dlpack__()), NORMAL, seed=0, name="w")
    assert values.tobytes() == expected((4,), "float32")


def frozen() -> np.ndarray[Any, Any]:
    values = np.zeros(3, np.float32)
    values.flags.writeable = False
    return values


@pytest.mark.parametrize(
    ("out", "dtype", "message"),
    [
        (jnp.zeros(3), None, "The output is read-only. Received: jaxlib"),
        (jnp.zeros(3, jnp.bfloat16), None, "The output is read-only. Received: jaxlib"),
        (frozen(), None, "The output is read-only"),
        (memoryview(bytes(12)), "float8_e5m2", "The output is read-only"),
        (Exporter(1, np.zeros(3).__dlpack__()), None, "The output is read-only"),
        (Exporter(2), None, "The output lies on another device. Received: .*Exporter on DLPack device 2"),
        (OldExporter(1, "no capsule"), None, "its __dlpack__ gives no DLPack capsule"),
        (torch.zeros(3, requires_grad=True), None, "it says: Can't export tensors that require gradient"),
        (torch.zeros(3, device="meta"), None, "The output's memory cannot be had by DLPack"),
        (torch.zeros(3, dtype=torch.complex64).conj(), None, "conjugate bit"),
        (torch.zeros(3, dtype=torch.int32), None, "code 0, 32 bits, 1 lanes\\) hold no weights"),
        (torch.zeros(3, dtype=torch.uint8), None, "says no floating-point format"),
        (torch.zeros(3).expand(2, 3), None, "Elements of the output share memory"),
        (torch.zeros(3, dtype=torch.bfloat16), "float16", "memory of bfloat16 for dtype 'float16'"),
        (torch.zeros(3), "bfloat16", "an array of <f4 \\(float32\\) for dtype 'bfloat16'"),
        ("text", None, "The output is no memory that can be filled. Received: str"),
        (3, None, "The output is no memory that can be filled. Received: int"),
        (array.array("i", [0, 0]), None, "says no floating-point format"),
    ],
)
def test_what_cannot_be_filled(out: Any, dtype: str | None, message: str) -> None:
    before = (
        raw(out.resolve_conj().detach())
        if isinstance(out, torch.Tensor) and out.device.type == "cpu"
        else None
    )
    with pytest.raises(InputError, match=message):
        fill(out, NORMAL, seed=0, name="w", dtype=dtype)
    if before is not None:
        assert raw(out.resolve_conj().detach()) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"address": 0}, "There is no memory at the address"),
        ({"address": -8}, "There is no memory at the address"),
        ({"address": 1.5}, "The address of the memory is not in whole numbers"),
        ({"shape": (-1, 3)}, "The shape of the memory has a negative extent"),
        ({"shape": (1 << 61, 4)}, "There is no memory at the address"),
        ({"strides": (4,)}, "The strides of the memory do not fit its shape"),
        ({"strides": (13, 4)}, "The memory of the output is misaligned"),
        ({"strides": (4, 4)}, "Elements of the output share memory"),
        ({"dtype": "float31"}, "Unknown dtype. Received: 'float31'"),
        ({"dtype": "float64", "strides": (16, 4)}, "The memory of the output is misaligned"),
    ],
    ids=str,
)
def test_memory_that_is_none(change: dict[str, Any], message: str) -> None:
    out = np.zeros(16, np.float32)
    described = {"address": out.ctypes.data, "shape": (2, 3), "dtype": "float32", "owner": out} | change
    with pytest.raises(InputError, match=message):
        fill(Memory(**described), NORMAL, seed=0, name="w")
    assert (out == 0).all()


def test_a_misaligned_address() -> None:
    out = np.zeros(17, np.uint8)
    with pytest.raises(InputError, match=re.escape("multiples of 4 bytes")):
        fill(Memory(address=out.ctypes.data + 1, shape=(4,), dtype="float32"), NORMAL, seed=0, name="w")
    assert (out == 0).all()


def test_empty_memory() -> None:
    fill(Memory(address=0, shape=(0, 3), dtype="float32"), NORMAL, seed=0, name="w")
    fill(torch.zeros(0, 3), NORMAL, seed=0, name="w")
