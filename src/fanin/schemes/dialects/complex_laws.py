"""What other systems draw where a weight is complex, and which of it is ours too."""

from __future__ import annotations

from fanin.errors import InputError, explain
from fanin.records.draw import Constant, Draw, Formula, Normal
from fanin.sampling.cast import COMPLEX
from fanin.schemes.base import Scheme
from fanin.schemes.dialects.law import PeerScheme

__all__ = ["check_complex"]

_LAWS = {
    "jax": "JAX draws a complex uniform on a disk and cuts a complex normal by its modulus",
    "torch": "PyTorch gives each component the bounds, or the mean, of a real weight (a uniform then has "
    "twice the variance); it draws no complex truncated or orthogonal weights",
}
"""Of jax.nn.initializers (JAX 0.10) and torch.nn.init (2.13), tried by tests/schemes/test_complex.py."""


def check_complex(scheme: Scheme, draw: Draw, dtype: str) -> None:
    """Refuse a complex weight of a system whose law for it is another one, or which has none.

    The same are constants, normals with mean 0 in JAX and PyTorch, and JAX's unitary matrices.

    Raises
    ------
    InputError
        A scheme of a dialect that means something else for complex weights.
    """
    if dtype not in COMPLEX or not isinstance(scheme, PeerScheme):
        return
    system = scheme.name.partition(":")[0]
    centred = isinstance(draw, Normal) and draw.mean == 0.0
    matrix = hasattr(draw, "gain")
    if isinstance(draw, Constant) or (centred and system in _LAWS) or (matrix and system == "jax"):
        return
    if isinstance(draw, Formula):
        return  # refused by the engine, whoever asks
    raise InputError(
        explain(
            f"'{scheme.name}' has another law for complex weights",
            received=f"dtype {dtype}",
            rule=_LAWS.get(system, f"No law of {system} for complex weights is known"),
            remedy="Use one of fanin's own schemes: its components are independent, and E|w|^2 is the "
            "variance of a real weight",
        )
    )
