"""fanin: the right weights at step zero, the same everywhere, proved before training.

>>> import fanin
>>> weight = fanin.sample(fanin.he_normal(), (256, 784), seed=1, name="fc1.weight")

``fanin.torch`` (and the other front ends) load on first use; nothing else imports a framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fanin._version import __version__
from fanin.errors import (
    FaninError,
    InputError,
    ModelError,
    OutputError,
    PrecisionWarning,
    TargetError,
    UnknownNameError,
)
from fanin.records.axes import Axes, Role
from fanin.schemes.base import Scheme
from fanin.schemes.constant import constant, ones, zeros
from fanin.schemes.delta_orthogonal import delta_orthogonal
from fanin.schemes.dialects.dialect import Dialect, dialect
from fanin.schemes.folk import randn_fan_in, randn_fan_sum, small_normal
from fanin.schemes.gates import chrono, lstm_forget_bias
from fanin.schemes.given import given, poison
from fanin.schemes.glorot import glorot_normal, glorot_truncated_normal, glorot_uniform
from fanin.schemes.he import he_normal, he_truncated_normal, he_uniform
from fanin.schemes.identity import dirac, identity
from fanin.schemes.lecun import lecun_normal, lecun_truncated_normal, lecun_uniform
from fanin.schemes.lora import lora_a, lora_b
from fanin.schemes.normal import normal
from fanin.schemes.orthogonal import orthogonal
from fanin.schemes.orthogonal_convolution import orthogonal_convolution
from fanin.schemes.signal_kernels import bilinear, stft
from fanin.schemes.siren import siren_first, siren_hidden
from fanin.schemes.sparse import sparse
from fanin.schemes.state_space import mamba_a_log, mamba_dt_bias, s4d_lin, s4d_real
from fanin.schemes.truncated_normal import truncated_normal
from fanin.schemes.uniform import uniform
from fanin.schemes.unit_scaling import sigmoid_uniform, uniform_unit_scaling
from fanin.schemes.variance_scaling import variance_scaling

if TYPE_CHECKING:
    from fanin.explanations.subject import explain
    from fanin.records.plan import Plan
    from fanin.schemes.sample import sample

__all__ = [
    "Axes",
    "Dialect",
    "FaninError",
    "InputError",
    "ModelError",
    "OutputError",
    "Plan",
    "PrecisionWarning",
    "Role",
    "Scheme",
    "TargetError",
    "UnknownNameError",
    "__version__",
    "bilinear",
    "chrono",
    "constant",
    "delta_orthogonal",
    "dialect",
    "dirac",
    "explain",
    "given",
    "glorot_normal",
    "glorot_truncated_normal",
    "glorot_uniform",
    "he_normal",
    "he_truncated_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_truncated_normal",
    "lecun_uniform",
    "lora_a",
    "lora_b",
    "lstm_forget_bias",
    "mamba_a_log",
    "mamba_dt_bias",
    "normal",
    "ones",
    "orthogonal",
    "orthogonal_convolution",
    "poison",
    "randn_fan_in",
    "randn_fan_sum",
    "s4d_lin",
    "s4d_real",
    "sample",
    "sigmoid_uniform",
    "siren_first",
    "siren_hidden",
    "small_normal",
    "sparse",
    "stft",
    "truncated_normal",
    "uniform",
    "uniform_unit_scaling",
    "variance_scaling",
    "zeros",
]

# Where names that need more than the laws come from; most runs of a tool need neither.
_LATER = {
    "explain": "fanin.explanations.subject",
    "Plan": "fanin.records.plan",
    "sample": "fanin.schemes.sample",
}
_FRONT_ENDS = frozenset({"jax", "keras", "torch"})


def __getattr__(name: str) -> Any:
    if name in _FRONT_ENDS:
        return importlib.import_module(f"fanin.{name}")
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'fanin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FRONT_ENDS})
