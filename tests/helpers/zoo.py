"""Small models that no rule was written for, by name: all of them."""

from __future__ import annotations

import zoo_images
import zoo_others
import zoo_sequences
from zoo_parts import Zoo

__all__ = ["ZOO"]

ZOO: Zoo = {**zoo_images.ZOO, **zoo_sequences.ZOO, **zoo_others.ZOO}
