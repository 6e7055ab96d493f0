"""What transformers draws by default: 0.02 for everything.

The law is that of ``PreTrainedModel._init_weights`` in transformers 5 with ``initializer_range = 0.02``.
Layers that it leaves to PyTorch (``nn.MultiheadAttention`` but for its last weight, GRU and plain
recurrence) get what PyTorch gives them. Models that override it differ.
"""

from __future__ import annotations

import math

from fanin.laws import moments
from fanin.plans.convention import BASE_STD, convention, fixed, weights
from fanin.plans.policies.framework import ATTENTION, RECURRENT
from fanin.plans.recurrent import gate_axes
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Draw, Normal, Uniform
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


def _others(case: Case) -> Claim | None:
    """PyTorch's own law for recurrences that are no LSTM."""
    kinds = (UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE, UseKind.RECURRENT_BIAS)
    claim = RECURRENT.claim(case) if case.role.kind in kinds else None
    if claim is None or not isinstance(claim.draw, Uniform):
        return None
    # The law is ±1/√state, and every gate has as many rows as the state has numbers.
    state = round(claim.draw.high**-2)
    return None if case.parameter.shape[0] == _GATES * state else claim


def _is_table(case: Case) -> bool:
    """Whether rows are looked up as ``nn.Embedding`` does it; a bare parameter keeps what it was made of."""
    node = case.node
    return case.role.kind == UseKind.EMBEDDING and node is not None and "embedding" in node.op


POLICY = convention(
    "hf-0.02",
    "transformers' base class: every weight and table N(0, 0.02²), biases 0, norms 1 and 0",
    fixed(
        "hf-0.02 lstm", _is_lstm, _xavier, "packed gates of an LSTM: Xavier uniform over all rows", _SOURCE
    ),
    Rule(name="hf-0.02 recurrent", claim=_others),
    ATTENTION,
    weights(_SOURCE, "hf-0.02"),
    fixed(
        "hf-0.02 table",
        _is_table,
        Normal(std=BASE_STD),
        f"a table has the std of the weights, {BASE_STD:g}",
        _SOURCE,
    ),
)
