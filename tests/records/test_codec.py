"""JSON: what is written comes back equal, and nothing else is accepted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin.errors import InputError, OutputError
from fanin.records import codec
from fanin.records.draw import Normal, Uniform
from fanin.records.plan import Entry, Plan, Status
from fanin.records.trace import LossMeasurement

floats = st.floats(allow_nan=False)
entries = st.builds(
    Entry,
    name=st.text(),
    aliases=st.lists(st.text()).map(tuple),
    shape=st.lists(st.integers(0, 2**40)).map(tuple),
    dtype=st.text(),
    fan_in=st.none() | floats,
    status=st.sampled_from(Status),
    draw=st.none() | st.builds(Normal, mean=floats, std=floats) | st.builds(Uniform, low=floats, high=floats),
    scheme=st.text(),
    rule=st.text(),
    reason=st.text(),
)


@given(st.lists(entries), st.integers(0, 2**64 - 1))
def test_a_plan_survives_the_round_trip(lines: list[Entry], seed: int) -> None:
    plan = Plan(model="m", framework="torch", policy="auto", seed=seed, stream=1, entries=tuple(lines))
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert codec.digest(again) == codec.digest(plan)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_floats_that_are_not_finite_are_strict_json(value: float) -> None:
    record = LossMeasurement(name="cross entropy", value=value)
    text = codec.to_json(record)
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    back = codec.from_json(text, LossMeasurement)
    assert repr(back) == repr(record)


def test_digest_sees_a_change_in_any_field() -> None:
    assert codec.digest(Normal(std=1.0)) != codec.digest(Normal(std=math.nextafter(1.0, 2.0)))
    assert codec.digest(Normal(std=1.0)) != codec.digest(Uniform(low=0.0, high=1.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"schema_version": ' + "9" * 10_000 + "}", "not JSON.*digits"),
        ("[]", "Expected Normal"),
        ('{"record": "Normal", "mean": 0, "std": 1}', "another schema version. Received: None"),
        ('{"schema_version": 2, "record": "Normal"}', "another schema version. Received: 2"),
        ('{"schema_version": 1, "record": "Uniform", "low": 0, "high": 1}', "Expected Normal"),
        ('{"schema_version": 1, "record": "Normal", "mean": 0}', "Normal is incomplete"),
        ('{"schema_version": 1, "record": "Normal", "mean": 0, "std": "x"}', "Received: 'x'. Expected float"),
        (
            '{"schema_version": 1, "record": "Normal", "mean": 0, "std": true}',
            "Received: True. Expected float",
        ),
        (
            '{"schema_version": 1, "record": "Normal", "mean": 0, "std": 1, "sd": 1}',
            "no such field. Received: sd",
        ),
    ],
)
def test_other_documents_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        codec.from_json(text, Normal)


def test_a_union_is_decoded_by_its_kind() -> None:
    plan_text = codec.to_json(Normal(std=1.0)).replace("Normal", "Nothing")
    with pytest.raises(InputError, match="Nothing"):
        codec.from_json(plan_text, Normal)


def test_files_are_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "draw.json"
    codec.write(target, Normal(std=1.0))
    assert codec.read(target, Normal) == Normal(std=1.0)
    with pytest.raises(OutputError, match="The output exists"):
        codec.write(target, Normal(std=2.0), overwrite=False)
    with pytest.raises(OutputError, match="cannot be written"):
        codec.write(tmp_path / "missing" / "draw.json", Normal(std=2.0))
    with pytest.raises(OutputError, match=r"cannot be written.*surrogates"):
        codec.write_text(target, "\ud800")
    for name in ("x" * 300, "null\0byte"):
        with pytest.raises(OutputError, match="cannot be written"):
            codec.write(tmp_path / name, Normal(std=2.0))
    assert codec.read(target, Normal) == Normal(std=1.0)
    assert [p.name for p in tmp_path.iterdir()] == ["draw.json"]


def test_files_of_other_editors(tmp_path: Path) -> None:
    file = tmp_path / "draw.json"
    for form in (text := codec.to_json(Normal(std=1.0)), text.replace("\n", "\r\n"), "\ufeff" + text):
        file.write_bytes(form.encode())
        assert codec.read(file, Normal) == Normal(std=1.0)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        codec.read(tmp_path / "absent.json", Normal)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        codec.read(tmp_path / "binary", Normal)
