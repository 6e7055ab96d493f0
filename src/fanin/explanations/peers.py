"""What other libraries draw under the same name for the same layer."""

from __future__ import annotations

from typing import Any

from fanin.records.explanation import Table

__all__ = ["peers_table"]


def peers_table(*_: Any) -> tuple[Table, ...]:
    """No library's functions are known here yet."""
    return ()
