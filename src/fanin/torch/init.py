"""Drop-in functions with the names, signatures and laws of ``torch.nn.init``.

``import fanin.torch as init`` where ``import torch.nn.init as init`` was is all that changes, and:
values come from fanin's streams. With ``seed=`` and ``name=`` they are those of `fanin.sample`, on
every device and in every layout. Without ``seed=`` one is drawn, once, from ``generator=`` or from
PyTorch's global generator, so ``torch.manual_seed`` governs them as before.

Where PyTorch's own functions miss their law (float8, orthogonal matrices in 16 bits, bounds in the
far tail of a truncated normal), these follow it. Tensors on the meta device are left alone.
"""

from __future__ import annotations

from fanin.torch.init_fans import (
    calculate_gain,
    kaiming_normal_,
    kaiming_uniform_,
    xavier_normal_,
    xavier_uniform_,
)
from fanin.torch.init_plain import normal_, trunc_normal_, uniform_
from fanin.torch.init_structured import constant_, dirac_, eye_, ones_, orthogonal_, sparse_, zeros_

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]
