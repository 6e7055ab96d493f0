"""What transformers draws by default: 0.02 for everything.

The law is that of ``PreTrainedModel._init_weights`` in transformers 5 with ``initializer_range = 0.02``.
Models that override it, and layers that it leaves to PyTorch (``nn.MultiheadAttention``, GRU), differ.
"""

from __future__ import annotations

import math

from fanin.laws import moments
from fanin.plans.convention import BASE_STD, convention, fixed, of_kind, weights
from fanin.plans.recurrent import gate_axes
from fanin.plans.rule import Case
from fanin.records.draw import Draw, Normal
from fanin.records.graph import UseKind

__all__ = ["POLICY"]

_GATES = 4
"""Of an LSTM; a GRU, which transformers leaves alone, has three."""
_SOURCE = "transformers 5, PreTrainedModel._init_weights"


def _xavier(case: Case) -> Draw:
    """Over the packed gates as they lie: all rows are taken for the outputs of one map."""
    rows, columns = case.parameter.shape
    return moments.uniform(std=math.sqrt(2.0 / (rows + columns)))


def _is_lstm(case: Case) -> bool:
    kinds = (UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE)
    return case.role.kind in kinds and gate_axes(case).groups == _GATES


POLICY = convention(
    "hf-0.02",
    "transformers' base class: every weight and table N(0, 0.02²), biases 0, norms 1 and 0",
    fixed(
        "hf-0.02 lstm", _is_lstm, _xavier, "packed gates of an LSTM: Xavier uniform over all rows", _SOURCE
    ),
    weights(_SOURCE, "hf-0.02"),
    fixed(
        "hf-0.02 table",
        of_kind(UseKind.EMBEDDING),
        Normal(std=BASE_STD),
        f"a table has the std of the weights, {BASE_STD:g}",
        _SOURCE,
    ),
)
