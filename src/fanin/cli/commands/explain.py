"""``fanin explain``: a law, its numbers for a shape, and where they come from."""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from fanin.cli import output as show
from fanin.errors import InputError
from fanin.errors import explain as composed
from fanin.explanations import laws, topics
from fanin.explanations.layers import LAYERS
from fanin.records import codec
from fanin.records.explanation import Explanation
from fanin.records.table import render
from fanin.schemes import registry

__all__ = ["explain"]

F = TypeVar("F", bound=Callable[..., Any])

_OWN = frozenset({"activation"})
"""Parameters of schemes that the command has for every scheme."""


def _parameters(command: F) -> F:
    """An option for every parameter that a scheme of the registry has."""
    found: dict[str, list[str]] = {}
    for entry in registry.entries().values():
        for name in entry.signature.parameters:
            if name not in _OWN:
                found.setdefault(name, []).append(entry.name)
    for name, schemes in sorted(found.items(), reverse=True):
        of = ", ".join(schemes[:3]) + (", ..." if len(schemes) > 3 else "")
        command = click.option(f"--{name.replace('_', '-')}", name, metavar="VALUE", help=f"Of {of}.")(
            command
        )
    return command


@click.command("explain", short_help="Explain a law, a finding, an activation or a question, with numbers.")
@click.argument("name", required=False)
@click.option("--topic", help="A question people ask, by its short name.")
@click.option("--topics", "listing", is_flag=True, help="List the questions and the laws.")
@click.option("--shape", "-s", metavar="256x784", help="Of the weight.")
@click.option(
    "--layer", type=click.Choice(list(LAYERS)), help="What holds it; says what its dimensions mean."
)
@click.option("--axes", metavar="'out in'", help="What its dimensions mean, in words, instead of --layer.")
@click.option("--groups", default=1, type=click.IntRange(min=1), help="Of a convolution.")
@click.option(
    "--stride", default=1, type=click.IntRange(min=1), help="Of a convolution, along each dimension."
)
@click.option("--activation", help="Of the layer's input.")
@click.option("--dtype", metavar="DTYPE", help="Say what rounding to it does: float32, bf16, float16, ...")
@click.option(
    "--depth", default=50, show_default=True, type=click.IntRange(min=1), help="Layers, for --topic."
)
@_parameters
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="What to write to stdout.",
)
def explain(
    name: str | None,
    topic: str | None,
    listing: bool,  # noqa: FBT001 - a command's options are its parameters
    shape: str | None,
    form: str,
    **options: Any,
) -> None:
    """Explain NAME: a scheme (for a shape), an activation, a law, a policy, or a check's code such as FAN102.

    NAME can also be words of a question, such as 'why 6 and not 2': what fits is shown, or listed where
    several subjects do. Every number is computed by the laws for what you ask.
    """
    if listing:
        pages = (*topics.catalogue().values(), *laws.catalogue().values())
        lines = [(one.name, one.question) for one in pages]
        show.data(render(("topic", "question"), lines, width=show.table_width()))
        return
    if (name is None) == (topic is None):
        raise click.UsageError("Give a NAME or words of a question; --topics lists the questions")
    if topic is not None:
        room = laws if topic in laws.catalogue() else topics
        told = room.get(topic, depth=options["depth"])
    else:
        # Every rule and policy, which --help needs not.
        from fanin.cli.search import search  # noqa: PLC0415
        from fanin.cli.subjects import explained  # noqa: PLC0415
        from fanin.cli.subjects import known as _known  # noqa: PLC0415

        if shape is None and not _known(str(name)):
            hits = search(str(name))
            if len(hits) == 1:
                name = hits[0].name
            elif hits:
                found = [(hit.name, hit.kind, hit.what) for hit in hits]
                show.data(render(("subject", "kind", "what"), found, width=show.table_width()))
                return
        own = {
            key: options.pop(key)
            for key in ("layer", "axes", "groups", "stride", "activation", "dtype", "depth")
        }
        given = {key: _value(text) for key, text in options.items() if text is not None}
        told = explained(str(name), shape=None if shape is None else _sizes(shape), **own, **given)
    _write(told, form)


def _write(told: Explanation, form: str) -> None:
    if form == "json":
        show.data(codec.to_json(told).rstrip("\n"))
    elif form == "markdown":
        from fanin.reports.explain_markdown import explanation_markdown  # noqa: PLC0415 - one form of three

        show.data(explanation_markdown(told).rstrip("\n"))
    else:
        from fanin.reports.explain_terminal import show_explanation  # noqa: PLC0415 - one form of three

        show_explanation(told, sys.stdout)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.lower().replace(",", "x").replace("×", "x").split("x"))
    except ValueError:
        raise InputError(
            composed(
                "A shape is not understood",
                received=repr(text),
                rule="It is sizes with an x between: 256x784",
            )
        ) from None


def _value(text: str) -> Any:
    """A literal, a number such as ``inf``, or a word such as ``fan_out`` as it is."""
    for read in (ast.literal_eval, float):
        with contextlib.suppress(ValueError, SyntaxError):
            return read(text)
    return text
