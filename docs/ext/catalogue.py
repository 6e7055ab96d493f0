"""Tables that the registries write: schemes, policies and checks, as they are when the page is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sphinx.util.docutils import SphinxDirective

from fanin.checks import registry as checks
from fanin.plans.policies import catalogue as policies
from fanin.plans.rule import Modifier, Policy
from fanin.schemes import registry as schemes

if TYPE_CHECKING:
    from collections.abc import Callable

    from docutils import nodes
    from sphinx.application import Sphinx

__all__ = ["setup"]


def scheme_pages() -> str:
    """Each scheme's other names, then its docstring."""
    parts = []
    for name, entry in schemes.entries().items():
        parts.append(f".. autofunction:: {entry.factory.__module__}.{name}\n")
        if entry.aliases:
            parts.append(f"   Also called {', '.join(f'``{alias}``' for alias in entry.aliases)}.\n")
    return "\n".join(parts)


def policy_pages() -> str:
    """Each policy and its line, then each modifier."""
    parts = []
    for kind, title in ((Policy, "Policies:"), (Modifier, "Modifiers, behind a plus sign:")):
        parts.append(f"{title}\n")
        named = sorted((name, found) for name, found in policies().items() if isinstance(found, kind))
        parts += [f"``{name}``\n   {escape(found.summary)}\n" for name, found in named]
    return "\n".join(parts)


def check_pages() -> str:
    """Each code: what is measured, where the line is, what to do."""
    parts = []
    for rule in checks.rules():
        parts.append(f"**{rule.code}** {rule.name}\n")
        lines = {"Measured": rule.definition, "Threshold": rule.threshold, "Advice": rule.advice}
        lines |= {"Follows from": ", ".join(rule.symptom_of), "Source": "; ".join(rule.references)}
        # Formulas hold asterisks and bars, which are markup here.
        parts += [f"   :{title}: {escape(text)}" for title, text in lines.items() if text]
        parts.append("")
    return "\n".join(parts)


def escape(text: str) -> str:
    """Make markup of a plain text harmless."""
    for mark in "\\*`|_":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


PAGES: dict[str, Callable[[], str]] = {
    "schemes": scheme_pages,
    "policies": policy_pages,
    "checks": check_pages,
}


class Catalogue(SphinxDirective):
    """``{catalogue} schemes``: what the registry of that room holds."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Write the entries and parse them in place."""
        return list(self.parse_text_to_nodes(PAGES[self.arguments[0]]()))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("catalogue", Catalogue)
    return {"parallel_read_safe": True}
