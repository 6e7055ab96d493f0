"""Messages say what, which value, which rule, and what to do."""

from __future__ import annotations

from fanin.errors import InputError, UnknownNameError, explain, nearest


def test_explain_puts_the_parts_in_order() -> None:
    assert explain("It is wrong", received=3, rule="It is 4", remedy="Give 4") == (
        "It is wrong. Received: 3. It is 4. Give 4."
    )
    assert explain("It is wrong.") == "It is wrong."


def test_nearest_suggests() -> None:
    error = nearest("he_norml", ["he_normal", "he_uniform", "zeros"], kind="scheme")
    assert isinstance(error, UnknownNameError)
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)
    assert "Unknown scheme. Received: 'he_norml'." in str(error)
    assert "Did you mean 'he_normal'" in str(error)


def test_nearest_without_neighbour_only_lists() -> None:
    assert str(nearest("qqq", ["zeros"], kind="scheme")) == "Unknown scheme. Received: 'qqq'. Known: zeros."
