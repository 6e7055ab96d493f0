"""Who descends from whom, as one bit set a node."""

from __future__ import annotations

from collections.abc import Iterable

from fanin.graphs.drafts import Drafts

__all__ = ["Ancestry"]


class Ancestry:
    """Ancestors of every node; a node is its own ancestor."""

    def __init__(self, drafts: Drafts) -> None:
        self._ids = list(drafts.nodes)
        self._place = {id: place for place, id in enumerate(self._ids)}
        self._above: dict[int, int] = {}
        for id, node in drafts.nodes.items():
            bits = 1 << self._place[id]
            for before in node.inputs:
                bits |= self._above[before]
            self._above[id] = bits

    def descends(self, id: int, ancestor: int) -> bool:
        """Whether `id` is `ancestor` or follows from it."""
        return bool(self._above[id] >> self._place[ancestor] & 1)

    def common(self, a: int, b: int) -> int | None:
        """The latest node that both follow from (or are)."""
        bits = self._above[a] & self._above[b]
        return self._ids[bits.bit_length() - 1] if bits else None

    def between(self, id: int, ancestor: int) -> list[int]:
        """Nodes after `ancestor` on ways from it to `id`, which is the last; in order."""
        first = self._place[ancestor]
        bits = self._above[id] >> (first + 1)
        found: list[int] = []
        place = first + 1
        while bits:
            skip = (bits & -bits).bit_length() - 1
            bits >>= skip
            place += skip
            node = self._ids[place]
            if self.descends(node, ancestor):
                found.append(node)
            bits >>= 1
            place += 1
        return found

    def mask(self, ids: Iterable[int]) -> int:
        """A set of nodes as bits."""
        return sum(1 << self._place[id] for id in ids)

    def meets(self, id: int, mask: int) -> bool:
        """Whether any node of the mask is `id` or an ancestor of it."""
        return bool(self._above[id] & mask)
