"""The comparison with other libraries: every cell of fanin's names tests that exist; no scheme is absent."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from elsewhere import python
from fanin.schemes import registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def peers() -> ModuleType:
    """The pages' builder, as the documentation loads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "ext"))
        return importlib.import_module("peers")


@pytest.fixture(scope="module")
def collected(peers: ModuleType) -> set[str]:
    """Ids of all tests in the files that are named, as pytest collects them."""
    told = peers.table()
    rows = [*told["initializers"], *told["features"], *told["nobody"]]
    named = {test.partition("::")[0] for row in rows for test in peers.linked(row)}
    named |= {one.test.partition("::")[0] for one in peers.faults()}
    collect = ("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
    told_ids = python(*collect, *sorted(named), cwd=ROOT)
    return {line.strip() for line in told_ids.splitlines() if "::" in line}


def missing(tests: list[str], collected: set[str]) -> list[str]:
    """Tests that pytest does not collect; one with a parameter stands for the cases that begin with it."""
    bare = {one.partition("[")[0] for one in collected}
    cases = {one.partition("]")[0] for one in collected}

    def there(test: str) -> bool:
        stem, bracket, _ = test.partition("]")
        if not bracket:
            return test in bare
        return any(case == stem or case.startswith(f"{stem}-") for case in cases)

    return [test for test in tests if not there(test)]


def rows(peers: ModuleType) -> list[dict[str, Any]]:
    told = peers.table()
    return [*told["initializers"], *told["features"], *told["nobody"]]


def test_every_cell_of_ours_names_tests_that_exist(peers: ModuleType, collected: set[str]) -> None:
    absent = {row["what"]: missing(peers.linked(row), collected) for row in rows(peers)}
    assert not any(absent.values()), {what: tests for what, tests in absent.items() if tests}


def test_every_row_has_a_test_or_a_reason(peers: ModuleType) -> None:
    for row in rows(peers):
        assert bool(peers.linked(row)) != ("absent" in row), row["what"]


def test_every_peer_has_a_cell_in_every_row(peers: ModuleType) -> None:
    told = peers.table()
    for row in (*told["initializers"], *told["features"]):
        assert all(row.get(system) for system in told["systems"]), row["what"]
    assert set(told["sources"]) == set(told["systems"])


def test_no_scheme_is_forgotten_and_none_is_invented(peers: ModuleType) -> None:
    named = {name for row in peers.table()["initializers"] for name in row.get("schemes", ())}
    assert named == set(registry.names())


def test_every_fault_has_a_cure_and_a_test(peers: ModuleType, collected: set[str]) -> None:
    found = peers.faults()
    assert len(found) > 80
    for one in found:
        assert one.fault, one.test
        assert one.cure, one.test
        assert "\n\n" not in one.cure, one.test
    assert not missing([one.test for one in found], collected)


def test_a_test_that_is_gone_would_be_seen(collected: set[str]) -> None:
    law = "tests/conformance/test_samples.py::test_samples_have_the_law"
    assert missing([f"{law}[he_normal]", f"{law}[he_norm]", law, f"{law}s"], collected) == [
        f"{law}[he_norm]",
        f"{law}s",
    ]
