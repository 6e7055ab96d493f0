"""Stand-ins for tensors: fake ones for any, ones of random numbers for those on the meta device."""

from __future__ import annotations

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from fanin.torch.names import PLAIN, NamedTensor, storage_key

__all__ = ["Blanks", "Fakes", "Mint"]

_SPREAD = 0.02
"""Standard deviation of numbers that stand for weights: small enough that no activation overflows."""


class Mint:
    """Makes fake tensors of one mode by copying one that torch has made.

    Torch's own constructor checks what is the same for all of them. Where the copy is not treated by
    torch as its own are, the constructor makes them.
    """

    def __init__(self, mode: FakeTensorMode) -> None:
        self._mode = mode
        self._patterns: dict[torch.device, dict[str, object] | None] = {}

    def fake(self, bare: torch.Tensor, device: torch.device, *, requires_grad: bool = False) -> FakeTensor:
        """A fake tensor for a plain one on the meta device; no dispatch may be active."""
        if device not in self._patterns:
            self._patterns[device] = self._pattern(bare, device)
        pattern = self._patterns[device]
        if pattern is None:
            fake = FakeTensor(self._mode, bare, device)
            fake.requires_grad_(requires_grad)
            return fake
        return _struck(bare, device, pattern, requires_grad=requires_grad)

    def _pattern(self, bare: torch.Tensor, device: torch.device) -> dict[str, object] | None:
        model = FakeTensor(self._mode, bare, device)
        if model.fake_device != device:  # "cuda" without a number: torch fills it in
            return None
        pattern = dict(vars(model))
        try:
            copy = _struck(bare, device, pattern)
        except Exception:  # noqa: BLE001 - a release of torch in which this is done otherwise
            return None
        same = torch._C._dispatch_key_set(copy) == torch._C._dispatch_key_set(model)
        return pattern if same and vars(copy) == pattern and copy.device == device else None


def _struck(
    bare: torch.Tensor, device: torch.device, pattern: dict[str, object], *, requires_grad: bool = False
) -> FakeTensor:
    fake: FakeTensor = torch.Tensor._make_subclass(
        FakeTensor, bare, requires_grad, dispatch_device=True, device_for_backend_keys=device
    )
    torch._C._set_throw_on_mutable_data_ptr(fake)
    vars(fake).update(pattern)
    return fake


class Fakes:
    """Fake copies of real and meta tensors, one for each, sharing memory where they do."""

    def __init__(self, tensors: tuple[NamedTensor, ...]) -> None:
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        devices = [entry.tensor.device for entry in tensors if not entry.tensor.is_meta]
        self._device = devices[0] if devices else torch.device("cpu")
        self._mint = Mint(self.mode)
        self._done: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._memory: dict[int, tuple[torch.Tensor, torch.UntypedStorage]] = {}

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """The fake that stands for a tensor."""
        found = self._done.get(id(tensor))
        if found is None:
            # The original is kept, so that its id is not given away.
            found = self._done[id(tensor)] = (tensor, self._made(tensor))
        return found[1]

    def originals(self) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        """Pairs of fake and original, by the id of the fake."""
        return {id(fake): (fake, original) for original, fake in self._done.values()}

    def _made(self, tensor: torch.Tensor) -> torch.Tensor:
        if isinstance(tensor, FakeTensor) or not _simple(tensor):
            if tensor.requires_grad and not tensor.is_leaf:
                return self.mode.from_tensor(tensor.detach()).requires_grad_()
            return self.mode.from_tensor(tensor)
        key = storage_key(tensor)
        if key not in self._memory:
            twin = torch.UntypedStorage(tensor.untyped_storage().nbytes(), device="meta")
            self._memory[key] = tensor, twin
        bare = torch.empty(0, dtype=tensor.dtype, device="meta")
        bare.set_(self._memory[key][1], int(tensor.storage_offset()), tensor.shape, tensor.stride())
        device = self._device if tensor.is_meta else tensor.device
        fake = self._mint.fake(bare, device, requires_grad=tensor.requires_grad)
        if isinstance(tensor, nn.Parameter):
            fake._is_param = True
        # (Should the model come upon the original itself, it is this fake that torch takes for it.)
        self.mode.fake_tensor_converter.set_tensor_memo(tensor, fake)
        return fake


def _simple(tensor: torch.Tensor) -> bool:
    """Whether a tensor is no more than numbers in memory."""
    plain = type(tensor) in PLAIN and tensor.layout is torch.strided and not tensor.is_quantized
    return plain and not tensor.is_conj() and not tensor.is_neg()


class Blanks:
    """Tensors of random numbers in place of those on the meta device, sharing memory where they do.

    They only have to let a run go on whose control flow asks for values. Vectors, which scale or shift,
    are ones; whole numbers are zero.
    """

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)
        self._done: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._bases: dict[tuple[int, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor that stands for another; itself if it has values."""
        if not tensor.is_meta:
            return tensor
        if id(tensor) not in self._done:
            self._done[id(tensor)] = (tensor, self._made(tensor))
        return self._done[id(tensor)][1]

    def _made(self, tensor: torch.Tensor) -> torch.Tensor:
        key = storage_key(tensor), tensor.dtype
        with torch.no_grad():
            if key not in self._bases:
                size = tensor.untyped_storage().nbytes() // tensor.itemsize
                base = torch.zeros(size, dtype=tensor.dtype)
                if tensor.ndim < 2 and tensor.dtype.is_floating_point:
                    base.fill_(1.0)
                elif tensor.dtype.is_floating_point or tensor.dtype.is_complex:
                    base.normal_(0.0, _SPREAD, generator=self._generator)
                self._bases[key] = tensor, base
            made = self._bases[key][1].as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
            if isinstance(tensor, nn.Parameter):
                return nn.Parameter(made, requires_grad=tensor.requires_grad)
            return made
