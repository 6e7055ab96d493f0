"""Stand-ins for tensors: fake ones for any, ones of random numbers for those on the meta device."""

from __future__ import annotations

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from fanin.torch.names import NamedTensor, storage_key

__all__ = ["Blanks", "Fakes"]

_SPREAD = 0.02
"""Standard deviation of numbers that stand for weights: small enough that no activation overflows."""


class Fakes:
    """Fake copies of real and meta tensors, one for each, sharing memory where they do."""

    def __init__(self, tensors: tuple[NamedTensor, ...]) -> None:
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        devices = [entry.tensor.device for entry in tensors if not entry.tensor.is_meta]
        self._device = devices[0] if devices else torch.device("cpu")
        self._done: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._bases: dict[tuple[int, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """The fake that stands for a tensor."""
        if id(tensor) not in self._done:
            fake = self._of_meta(tensor) if tensor.is_meta else self._of_real(tensor)
            # The original is kept, so that its id is not given away.
            self._done[id(tensor)] = (tensor, fake)
        return self._done[id(tensor)][1]

    def originals(self) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        """Pairs of fake and original, by the id of the fake."""
        return {id(fake): (fake, original) for original, fake in self._done.values()}

    def _of_real(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.requires_grad and not tensor.is_leaf:
            return self.mode.from_tensor(tensor.detach()).requires_grad_()
        return self.mode.from_tensor(tensor)

    def _of_meta(self, tensor: torch.Tensor) -> torch.Tensor:
        key = storage_key(tensor), tensor.dtype
        with self.mode, torch.no_grad():
            if key not in self._bases:
                size = tensor.untyped_storage().nbytes() // tensor.itemsize
                self._bases[key] = tensor, torch.empty(size, dtype=tensor.dtype, device=self._device)
            fake = self._bases[key][1].as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
            if isinstance(tensor, nn.Parameter):
                return nn.Parameter(fake.detach(), requires_grad=tensor.requires_grad)
            return fake.detach()


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
