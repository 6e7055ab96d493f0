"""The published JSON Schemas describe what is written, and nothing else passes."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import fanin.torch
from fanin.records import codec
from fanin.records.explanation import Explanation
from fanin.records.finding import Diagnosis
from fanin.records.plan import Plan
from fanin.records.schema import json_schema

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {"$ref", "anyOf", "const", "enum", "type", "properties", "required", "additionalProperties", "items"}
KNOWN |= {"prefixItems", "minItems", "$defs", "$schema", "title", "description"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "null": type(None), "boolean": bool,
    "array": list, "object": dict,
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], whole: dict[str, Any], path: str = "$") -> Iterator[str]:
    """Where a value breaks a schema, for the words of JSON Schema that ours use; another word is an error."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        yield from faults(value, whole["$defs"][schema["$ref"].removeprefix("#/$defs/")], whole, path)
    if "anyOf" in schema and all(list(faults(value, one, whole, path)) for one in schema["anyOf"]):
        yield f"{path}: none of {len(schema['anyOf'])} forms fits"
    if "const" in schema and value != schema["const"]:
        yield f"{path}: not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: not one of {schema['enum']}"
    if "type" in schema:
        right = isinstance(value, TYPES[schema["type"]])
        if not right or (isinstance(value, bool) and schema["type"] in {"integer", "number"}):
            yield f"{path}: not of type {schema['type']}"
            return
    if isinstance(value, dict) and "properties" in schema:
        yield from (f"{path}: no {name}" for name in schema["required"] if name not in value)
        for name, inside in value.items():
            if name in schema["properties"]:
                yield from faults(inside, schema["properties"][name], whole, f"{path}.{name}")
            elif not schema["additionalProperties"]:
                yield f"{path}: an unknown {name}"
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        if len(value) < schema.get("minItems", 0) or (
            schema.get("items") is False and len(value) > len(first)
        ):
            yield f"{path}: {len(value)} items"
        for place, inside in enumerate(value):
            rule = first[place] if place < len(first) else schema.get("items")
            if rule:
                yield from faults(inside, rule, whole, f"{path}[{place}]")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "docs" / "ext" / "schemas.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def diagnosis() -> dict[str, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 3))
    report = fanin.torch.check(model, torch.randn(32, 8), target=torch.arange(32) % 3, fix=True)
    document: dict[str, Any] = json.loads(report.to_json())
    return document


def test_the_files_are_of_today(script: ModuleType) -> None:
    for record in script.DOCUMENTS:
        file = script.FOLDER / f"{record.__name__.lower()}.schema.json"
        assert file.read_text(encoding="utf-8") == script.written(record), "run: python docs/ext/schemas.py"


def test_a_report_fits_its_schema(diagnosis: dict[str, Any]) -> None:
    schema = json_schema(Diagnosis)
    assert list(faults(diagnosis, schema, schema)) == []


def test_a_plan_and_an_explanation_fit_theirs() -> None:
    plan = fanin.torch.plan(nn.Linear(4, 2), torch.zeros(2, 4))
    told = fanin.explain("he_normal", shape=(8, 4))
    for text, record in ((plan.to_json(), Plan), (codec.to_json(told), Explanation)):
        schema = json_schema(record)
        assert list(faults(json.loads(text), schema, schema)) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda d: d.pop("graph"), "$: no graph"),
        (lambda d: d.update(schema_version=2), "$.schema_version: not 1"),
        (lambda d: d.update(extra=1), "$: an unknown extra"),
        (lambda d: d["plan"].update(seed="0"), "$.plan.seed: not of type integer"),
        (lambda d: d["plan"].update(seed=True), "$.plan.seed: not of type integer"),
        (lambda d: d["trace"].update(record="Plan"), "$.trace.record: not 'Trace'"),
        (lambda d: d["passed"].append(["FAN101"]), "items"),
        (lambda d: d["graph"]["nodes"][0].update(kind="magic"), "$.graph.nodes[0].kind: not one of"),
    ],
)
def test_a_wrong_document_would_be_seen(diagnosis: dict[str, Any], spoil: Any, told: str) -> None:
    spoilt = json.loads(json.dumps(diagnosis))
    spoil(spoilt)
    schema = json_schema(Diagnosis)
    assert any(told in fault for fault in faults(spoilt, schema, schema))
