"""Folding keeps every row in sight; rendering lines up columns."""

from __future__ import annotations

from fanin.records.table import Row, fold_names, folded, render


def test_only_rows_that_agree_are_folded() -> None:
    rows = [Row(key=f"h.{i}.w", cells=("a" if i != 2 else "b",)) for i in range(5)]
    assert folded(rows) == [("h.0-1,3-4.w ×4", "a"), ("h.2.w", "b")]


def test_numbers_inside_words_do_not_fold() -> None:
    assert fold_names(["conv1.w", "conv2.w", "a.0.1.w", "a.0.2.w"]) == ["conv1.w", "conv2.w", "a.0.1-2.w ×2"]


def test_numbers_at_the_end_of_a_component_fold() -> None:
    names = ["Block_0.Dense_1.kernel", "Block_1.Dense_1.kernel", "stem/block_1/kernel", "stem/block_2/kernel"]
    assert fold_names(names) == ["Block_0-1.Dense_1.kernel ×2", "stem/block_1-2/kernel ×2"]
    assert fold_names(["rnn.weight_ih_l0", "rnn.weight_ih_l1"]) == ["rnn.weight_ih_l0", "rnn.weight_ih_l1"]


def test_duplicate_keys_are_counted() -> None:
    assert fold_names(["a.0", "a.0"]) == ["a.0 ×2"]


def test_render_drops_empty_columns_and_cuts_the_last() -> None:
    text = render(
        ("name", "empty", "why"), [("a", "", "a long reason indeed"), ("bb", "", "short")], width=20
    )
    assert text.splitlines() == ["name  why", "a     a long reason…", "bb    short"]


def test_render_without_lines_shows_the_header() -> None:
    assert render(("name", "why"), []) == "name"
