"""How exactly a processor multiplies where a few percent are enough."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch

from fanin.torch.sandbox import undone

__all__ = ["rough_products"]

_OPERATIONS, _SETTING, _ROUGH = ("conv", "matmul"), "fp32_precision", "bf16"

_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
"""Without them the permission would only move matrix products to a library that is slower at them."""


@contextlib.contextmanager
def rough_products() -> Iterator[None]:
    """Let float32 products read eight bits of each factor, where the processor has instructions for it.

    Sums and results stay in float32, whose range bfloat16 shares: a product is off by at most ``2^-8`` of
    itself, to either side, so a mean of n squares is by about ``2^-8 / sqrt(n)``. The setting is oneDNN's,
    for the whole process; torch before 2.9 does not have it. Other devices keep what their user chose.
    """
    mkldnn: Any = torch.backends.mkldnn
    capable: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if not any(capable.get(name) for name in _INSTRUCTIONS):
        yield
        return
    with contextlib.ExitStack() as stack:
        for place in (getattr(mkldnn, name, None) for name in _OPERATIONS):
            chosen = getattr(place, _SETTING, None)
            if chosen is None or chosen == _ROUGH:
                continue
            # What is inherited is not written down as chosen, or it would not follow its parent any more.
            before = "none" if chosen == getattr(mkldnn, _SETTING) else chosen
            stack.enter_context(undone(partial(setattr, place, _SETTING, before)))
            setattr(place, _SETTING, _ROUGH)
        yield
