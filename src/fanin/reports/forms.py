"""Writing a document in the form that its name asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from fanin.errors import InputError, explain
from fanin.records import codec

__all__ = ["save"]


def save(path: str | os.PathLike[str], what: str, forms: Mapping[str, Callable[[], str]]) -> Path:
    """Write what the form of a name's suffix gives.

    Raises
    ------
    InputError
        A suffix that stands for no form, or a form whose library is not installed.
    OutputError
        A place that cannot be written.
    """
    form = forms.get(Path(path).suffix.lower()) if isinstance(path, str | os.PathLike) else None
    if form is None:
        raise InputError(
            explain(
                f"{what} is not written in this form",
                received=repr(str(path)),
                rule="The suffix says the form: " + ", ".join(forms),
            )
        )
    return codec.write_text(path, form())
