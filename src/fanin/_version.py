"""The version of fanin, said here and nowhere else: the build and the docs read this file."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
