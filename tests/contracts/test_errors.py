"""Every message says what was wrong, the value received, the rule, and the remedy."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from fanin import errors
from fanin.errors import explain, nearest


def test_a_message_has_its_four_parts_in_order() -> None:
    text = explain(
        "A fan is not positive",
        received=0,
        rule="A unit sums over at least one input",
        remedy="Give the shape without empty dimensions",
    )
    assert text == (
        "A fan is not positive. Received: 0. A unit sums over at least one input. "
        "Give the shape without empty dimensions."
    )


def test_parts_left_out_leave_no_trace() -> None:
    assert explain("Nothing to sample.") == "Nothing to sample."
    assert explain("Bad mode", received="") == "Bad mode. Received: ."
    assert (
        explain("Bad mode", rule="Modes are fan_in and fan_out.") == "Bad mode. Modes are fan_in and fan_out."
    )


def test_unknown_names_suggest_the_nearest() -> None:
    error = nearest("he_norml", ["he_normal", "he_uniform", "orthogonal"], kind="scheme")
    assert isinstance(error, errors.UnknownNameError)
    assert str(error).startswith(
        "Unknown scheme. Received: 'he_norml'. Known: he_normal, he_uniform, orthogonal."
    )
    assert "Did you mean 'he_normal'" in str(error)


def test_a_name_like_none_suggests_nothing_and_long_lists_are_cut() -> None:
    text = str(nearest("zzz", [f"scheme_{i:02d}" for i in range(60)], kind="scheme"))
    assert "Did you mean" not in text
    assert "scheme_39, ..." in text
    assert "scheme_40" not in text


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n.endswith("Error")])
def test_every_error_is_one_of_ours_and_documented(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, errors.FaninError)
    assert kind.__doc__


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InputError, ValueError),
        (errors.ModelError, RuntimeError),
        (errors.OutputError, OSError),
        (errors.MissingError, ImportError),
    ],
)
def test_errors_are_caught_by_what_python_users_expect(kind: type[Exception], builtin: type) -> None:
    assert issubclass(kind, builtin)


def bare_messages(source: str) -> list[int]:
    """Lines that raise one of our errors with a text that did not go through `explain`.

    A text may be put around a caught `error`, whose message has all its parts already.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
            continue
        function = node.exc.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name not in errors.__all__ or not name.endswith("Error") or not node.exc.args:
            continue
        text = node.exc.args[0]
        wraps = any(isinstance(part, ast.Name) and part.id == "error" for part in ast.walk(text))
        if isinstance(text, ast.Constant | ast.JoinedStr | ast.BinOp) and not wraps:
            found.append(node.lineno)
    return found


def test_messages_are_composed_by_explain(package: Path) -> None:
    bare = [
        f"{path.relative_to(package)}:{line}"
        for path in sorted(package.rglob("*.py"))
        for line in bare_messages(path.read_text(encoding="utf-8"))
    ]
    assert bare == []


def test_a_bare_message_would_be_seen() -> None:
    assert bare_messages("raise InputError('bad')\nraise errors.ModelError(f'{x} bad')") == [1, 2]
    assert bare_messages("raise InputError(explain('Bad'))\nraise nearest(a, b, kind='x')") == []
    assert bare_messages("raise InputError(f'In {name}: {error}') from None") == []
