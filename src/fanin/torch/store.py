"""From a draw to a tensor's own memory: the only place where numbers enter tensors."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch._subclasses.fake_tensor import FakeTensor

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Constant, Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.backends import draw_at
from fanin.sampling.engine import SERVED, fill, generate
from fanin.sampling.layout import in_order
from fanin.sampling.parts import parts
from fanin.sampling.recipe import recipe
from fanin.sampling.streams import stream_key
from fanin.schemes.fit import check_rounding
from fanin.torch import twin
from fanin.torch.names import PLAIN

__all__ = ["check_dense", "check_writable", "dtype_name", "fill_", "memoryless", "quick_", "staged", "stored"]

_PATTERNS = {
    torch.bfloat16: torch.uint16,
    torch.float8_e4m3fn: torch.uint8,
    torch.float8_e5m2: torch.uint8,
}
"""Types that NumPy does not know: the engine writes their bit patterns."""
_FINE = {torch.float32: "float32", torch.float64: "float64"}
"""Types that are too coarse for no draw."""


def dtype_name(tensor: torch.Tensor) -> str:
    """Name of a tensor's dtype, as in a plan."""
    return str(tensor.dtype).removeprefix("torch.")


def memoryless(tensor: torch.Tensor) -> bool:
    """Whether a tensor only has a shape: on the meta device, or fake."""
    return tensor.is_meta or isinstance(tensor, FakeTensor)


def check_writable(tensor: torch.Tensor, name: str) -> None:
    """Refuse a tensor into which no draw can be written element by element.

    Raises
    ------
    InputError
        A dtype that holds no weights, a tensor that is sharded, quantised or sparse, that shares
        memory between its own elements, or that was made in inference mode.
    """
    if dtype_name(tensor) not in SERVED:
        raise InputError(
            explain(
                f"'{name}' cannot hold a drawn weight",
                received=f"dtype {dtype_name(tensor)}",
                rule="A weight is drawn in one of " + ", ".join(SERVED),
                remedy="Leave it out, or draw before the model is quantised or cast",
            )
        )
    check_dense(tensor, name)


def check_dense(tensor: torch.Tensor, name: str) -> None:
    """Refuse a tensor whose elements have no places of their own, whatever its dtype.

    Raises
    ------
    InputError
        A tensor that is sharded or sparse, that shares memory between its own elements, or that was made
        in inference mode.
    """
    problem = "" if memoryless(tensor) else _problem(tensor)
    if problem:
        raise InputError(
            explain(
                f"'{name}' cannot be written element by element",
                received=problem,
                rule="A tensor is dense and owns one place in memory for each element",
                remedy="Initialise the model before it is sharded, expanded or put in inference mode",
            )
        )


def _problem(tensor: torch.Tensor) -> str:
    if type(tensor) not in PLAIN and hasattr(type(tensor), "__torch_dispatch__"):
        disabled = torch._C._disabled_torch_dispatch_impl
        if type(tensor).__torch_dispatch__ is not disabled:
            return f"a {type(tensor).__name__}"
    if tensor.layout is not torch.strided:
        return f"layout {tensor.layout}"
    if any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True)):
        return "an expanded tensor, several of whose elements are one number"
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        return "a tensor made under torch.inference_mode()"
    return ""


def stored(tensor: torch.Tensor) -> NDArray[Any]:
    """A CPU tensor's own memory as NumPy sees it: values, or bit patterns of types that it does not know."""
    pattern = _PATTERNS.get(tensor.dtype)
    raw = tensor.detach() if pattern is None else tensor.detach().view(pattern)
    array: NDArray[Any] = raw.numpy()
    return array


def staged(
    draw: Draw, shape: tuple[int, ...], dtype: torch.dtype, *, seed: int, name: str, axes: Axes | None
) -> torch.Tensor:
    """Draw into a new CPU tensor of that dtype, bit for bit what the engine gives."""
    text = str(dtype).removeprefix("torch.")
    bits = generate(draw, shape, seed=seed, name=name, axes=axes, dtype=text)
    return torch.from_numpy(bits).view(dtype)


def quick_(tensor: torch.Tensor, draw: Draw, seed: int, name: str) -> bool:
    """Draw into the commonest tensors, plain memory of the CPU in row-major order, in one call.

    False where anything asks for `fill_`, which looks at everything; the tensor is then untouched.
    """
    dtype = _FINE.get(tensor.dtype)
    if (
        dtype is None
        or type(tensor) not in PLAIN
        or not tensor.is_cpu
        or tensor.layout is not torch.strided
        or not tensor.is_contiguous()
        or tensor.is_neg()
        or tensor.is_inference()
    ):
        return False
    try:
        address = tensor.data_ptr()
    except RuntimeError:
        # A stand-in of torch.func, whose memory is another tensor's.
        return False
    if address == 0 or not draw_at(address, tensor.numel(), draw, dtype, seed, name):
        return False
    # The kernel wrote behind autograd's back: a graph that saved this tensor has to notice.
    torch.autograd.graph.increment_version(tensor)
    return True


def fill_(
    tensor: torch.Tensor, draw: Draw, *, seed: int, name: str, axes: Axes | None = None
) -> torch.Tensor:
    """Draw into an existing tensor, whatever its strides: in its own memory, on its own device.

    The kernel fills memory of the CPU, the twin that of other devices; what the twin cannot draw (matrices,
    tails beyond seven sigma, complex numbers with a mean) is drawn on the host and copied.
    Tensors without memory (meta, fake) and empty ones are returned as they are.

    Warns
    -----
    PrecisionWarning
        A 16-bit or 8-bit dtype too coarse for the draw; one in which every weight would be 0 is refused.
    """
    if (axes is None or in_order(axes, tuple(tensor.shape))) and quick_(tensor, draw, seed, name):
        return tensor
    check_writable(tensor, name)
    if memoryless(tensor) or tensor.numel() == 0:
        return tensor
    check_rounding(draw, dtype_name(tensor))
    with torch.no_grad():
        if _by_kernel(tensor):
            fill(stored(tensor), draw, seed=seed, name=name, axes=axes, dtype=dtype_name(tensor))
            # NumPy wrote behind autograd's back: a graph that saved this tensor has to notice.
            torch.autograd.graph.increment_version(tensor)
        elif isinstance(draw, Constant):
            # One number, wherever it goes.
            as_axes(axes, tuple(tensor.shape))
            tensor.copy_(staged(draw, (), tensor.dtype, seed=seed, name=name, axes=None))
        elif not _by_twin(tensor, draw, seed, name, axes):
            shape = tuple(tensor.shape)
            tensor.copy_(staged(draw, shape, tensor.dtype, seed=seed, name=name, axes=axes))
    return tensor


def _by_kernel(tensor: torch.Tensor) -> bool:
    # A tensor that is conjugated or negated when it is read has memory with other numbers.
    return tensor.device.type == "cpu" and not (tensor.is_conj() or tensor.is_neg())


def _by_twin(tensor: torch.Tensor, draw: Draw, seed: int, name: str, axes: Axes | None) -> bool:
    """Draw where the tensor is, if the twin can; say whether it did."""
    if not isinstance(draw, Uniform | Normal | TruncatedNormal) or tensor.is_conj() or tensor.is_neg():
        return False
    roles = as_axes(axes, tuple(tensor.shape))
    logical = tensor if roles is None else tensor.permute(roles.logical_order)
    if tensor.is_complex():
        draw, imaginary = parts(draw)
        if draw != imaginary:
            return False
        logical = torch.view_as_real(logical)
    made = recipe(draw, dtype_name(logical))
    if not twin.serves(made, tensor.device):
        return False
    twin.draw_into(logical, made, stream_key(seed, name))
    return True
