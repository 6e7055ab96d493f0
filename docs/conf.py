"""How the documentation is built: `make docs`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent / "ext"))
os.environ.setdefault("KERAS_BACKEND", "numpy")

namespace: dict[str, str] = {}
exec((ROOT / "src" / "fanin" / "_version.py").read_text(encoding="utf-8"), namespace)  # noqa: S102

project = "fanin"
author = "The fanin authors"
copyright = "The fanin authors"
version = release = namespace["__version__"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "catalogue",
    "explained",
    "checks",
    "peers",
]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = f"fanin {version}"
