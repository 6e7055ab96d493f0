"""How large the first outputs are."""

from __future__ import annotations

__all__ = ["LOGIT_STD"]

LOGIT_STD = 0.5
"""Standard deviation of the first logits. The first loss is then ln C + 0.5²/2: an eighth of a nat
above a uniform guess over C classes, while gradients still reach what lies below the head."""
