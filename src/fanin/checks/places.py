"""What messages call a place in a model."""

from __future__ import annotations

__all__ = ["called"]


def called(module: str, op: str = "") -> str:
    """A module's path as it can stand in a sentence: numbers alone would read as amounts.

    Examples
    --------
    >>> called("encoder.fc1"), called("96"), called("", "aten.add.Tensor")
    ('encoder.fc1', "layer '96'", 'add')
    """
    if not module:
        return op.removeprefix("aten.").partition(".")[0].strip("_") or "the model"
    return f"layer '{module}'" if module.replace(".", "").isdigit() else module
