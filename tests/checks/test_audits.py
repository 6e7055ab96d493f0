"""An audit finds what is wrong and, at the stated rate, nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fanin.checks.audits import LEVEL, audit
from fanin.checks.questions import figures
from fanin.errors import InputError, UnknownNameError
from fanin.laws.moments import truncated_normal, uniform
from fanin.records.audit import Audit, Comparison, Match
from fanin.records.draw import Constant, Draw, Normal, Orthogonal, Sparse, Uniform
from fanin.records.finding import Severity
from fanin.records.pieces import pieces
from fanin.records.plan import Block, Entry, Plan, Status
from fanin.sampling.engine import generate

SHAPE = (96, 64)


def entry(draw: Draw | None, name: str = "w", shape: tuple[int, ...] = SHAPE, **more: Any) -> Entry:
    status = Status.KEPT if draw is None else Status.CLAIMED
    base = {"name": name, "shape": shape, "dtype": "float32", "status": status, "draw": draw}
    return Entry(**{**base, "scheme": "test", "rule": "test", "reason": "test", **more})


def plan(*entries: Entry, seed: int = 0) -> Plan:
    return Plan(model="Net", framework="torch 2", policy="test", seed=seed, stream=1, entries=entries)


def one(line: Entry, values: NDArray[Any], **more: Any) -> Comparison:
    return audit(plan(line), lambda _: values, **more).comparisons[0]


def drawn(
    draw: Draw, shape: tuple[int, ...] = SHAPE, *, seed: int = 1, dtype: str = "float32"
) -> NDArray[Any]:
    return generate(draw, shape, seed=seed, name="w", dtype=dtype)


LAWS: tuple[Draw, ...] = (
    Normal(std=0.1),
    Normal(mean=0.5, std=0.1),
    Uniform(low=-0.2, high=0.2),
    truncated_normal(std=0.02),
    truncated_normal(std=1.0, lower=-1.0, upper=3.0),
    Orthogonal(gain=1.5, std=1.5 / math.sqrt(96)),
    Sparse(parent_std=0.1, kept=8, std=0.1 * math.sqrt(8 / 64)),
    Constant(value=0.25),
)


@pytest.mark.parametrize("draw", LAWS, ids=str)
def test_a_law_agrees_with_itself_under_another_seed(draw: Draw) -> None:
    line = one(entry(draw), drawn(draw, seed=7))
    assert line.faults == ()
    assert line.match == Match.AGREES


@pytest.mark.parametrize("draw", LAWS, ids=str)
def test_the_same_seed_is_the_same_bits(draw: Draw) -> None:
    line = one(entry(draw), drawn(draw, seed=0))
    assert line.match == (Match.AGREES if draw.std == 0.0 else Match.EXACT)


@pytest.mark.parametrize("draw", LAWS, ids=str)
def test_ten_percent_more_is_found(draw: Draw) -> None:
    # Of a sparse draw one number in eight says something.
    more = 1.5 if isinstance(draw, Sparse) else 1.1
    values = (drawn(draw, seed=7) - draw.mean) * more + draw.mean * (more if draw.std == 0.0 else 1.0)
    fault = "value" if draw.std == 0.0 else "std"
    assert one(entry(draw), values.astype(np.float32)).faults[0] == fault


@pytest.mark.parametrize("declared", LAWS[:4], ids=str)
@pytest.mark.parametrize("live", [Normal(std=0.1), uniform(std=0.1), truncated_normal(std=0.1)], ids=str)
def test_the_family_is_told_where_std_and_mean_agree(declared: Draw, live: Draw) -> None:
    values = drawn(live, (512, 256), seed=3) * (declared.std / 0.1) + declared.mean
    found = one(entry(declared, shape=(512, 256)), values.astype(np.float32))
    same = type(live) is type(declared)
    assert ("distribution" in found.faults or "bounds" in found.faults) != same, found.finding


def test_a_shifted_mean_is_found() -> None:
    draw = Normal(std=0.1)
    assert one(entry(draw), drawn(draw, seed=7) + np.float32(0.02)).faults == ("mean",)


def test_one_outlier_is_found() -> None:
    values = drawn(Uniform(low=-0.2, high=0.2), seed=7)
    values[3, 3] = 0.21
    assert one(entry(Uniform(low=-0.2, high=0.2)), values).faults == ("bounds",)


def test_rows_that_are_not_orthogonal_are_found() -> None:
    draw = Orthogonal(gain=1.0, std=1.0 / math.sqrt(96))
    found = one(entry(draw), drawn(Normal(std=draw.std)) * np.float32(1.0))
    assert "orthonormality" in found.faults


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn"])
@pytest.mark.parametrize("std", [1.0, 0.02])
def test_narrow_formats_are_no_fault(dtype: str, std: float) -> None:
    from fanin.sampling.cast import decode

    draw = Normal(std=std)
    values = decode(drawn(draw, (256, 256), seed=7, dtype=dtype), dtype).astype(np.float32)
    assert one(entry(draw, shape=(256, 256), dtype=dtype), values).faults == ()
    exact = decode(drawn(draw, (256, 256), seed=0, dtype=dtype), dtype).astype(np.float32)
    assert one(entry(draw, shape=(256, 256), dtype=dtype), exact).match == Match.EXACT
    assert one(entry(draw, shape=(256, 256), dtype=dtype), values * 1.25).faults[0] == "std"


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (np.zeros(SHAPE, np.float32), "zeros"),
        (np.full(SHAPE, 0.3, np.float32), "constant"),
        (np.full(SHAPE, np.nan, np.float32), "not finite"),
        (np.where(np.eye(*SHAPE) > 0, np.inf, 0.0).astype(np.float32), "not finite"),
        (np.where(np.eye(*SHAPE) > 0, 3e37, 0.0).astype(np.float32), "garbage"),
        (np.random.default_rng(0).integers(0, 2**20, SHAPE).astype(np.uint32).view(np.float32), "garbage"),
    ],
)
def test_memory_that_nobody_wrote(values: NDArray[Any], fault: str) -> None:
    found = one(entry(Normal(std=0.1)), values)
    assert found.faults == (fault,)
    assert found.severity == Severity.FAILURE
    assert "never initialised" in found.finding or fault == "constant"


def test_kept_tensors_are_only_looked_at_for_garbage() -> None:
    assert one(entry(None), np.zeros(SHAPE, np.float32)).faults == ()
    found = one(entry(None), np.full(SHAPE, np.nan, np.float32))
    assert (found.match, found.faults, found.severity) == (Match.KEPT, ("not finite",), Severity.FAILURE)


def test_layers_that_hold_the_same_numbers() -> None:
    draw = Normal(std=0.1)
    same, other = drawn(draw, seed=7), drawn(draw, seed=8)
    values = {"a": same, "b": same.copy(), "c": other}
    found = audit(plan(*(entry(draw, name) for name in values)), lambda e: values[e.name])
    assert [line.faults for line in found.comparisons] == [(), ("identical",), ()]
    assert "the same numbers as a," in found["b"].finding


def test_zeros_that_are_declared_are_not_layers_that_are_alike() -> None:
    found = audit(
        plan(entry(Constant(value=0.0), "a"), entry(Constant(value=0.0), "b")),
        lambda _: np.zeros(SHAPE, "f4"),
    )
    assert found.agrees


def test_a_lost_factor_of_depth_is_named() -> None:
    line = entry(Normal(std=0.02 / math.sqrt(16)), reason="ends a residual branch: 0.02/√N for N branches")
    lines = [replace(line, name=str(k)) for k in range(16)]
    found = audit(plan(*lines), lambda e: drawn(Normal(std=0.02), seed=int(e.name) + 7))
    assert all("the factor 1/√16" in line.finding for line in found.comparisons)
    other = entry(Normal(std=0.02 / math.sqrt(16)))
    assert "factor" not in one(other, drawn(Normal(std=0.02), seed=7)).finding


def test_a_frameworks_default_is_named() -> None:
    bound = 1.0 / math.sqrt(64)
    line = entry(Normal(std=math.sqrt(2 / 64)), fan_in=64.0, fan_out=96.0)
    found = one(line, drawn(Uniform(low=-bound, high=bound), seed=7))
    assert found.law.startswith("the framework's default law")
    assert found.law in found.finding


def test_blocks_are_compared_one_by_one() -> None:
    parts = tuple(
        Block(name=str(k), start=start, size=size, draw=Normal(std=std))
        for k, (start, size, std) in enumerate([(0, 64, 0.1), (64, 16, 0.3), (80, 16, 0.3)])
    )
    line = entry(Normal(std=0.1), blocks=parts)
    values = np.empty(SHAPE, np.float32)
    for piece in pieces(line):
        values[piece.index] = generate(piece.draw, piece.shape, seed=0, name=piece.name)
    found = one(line, values)
    assert found.match == Match.EXACT
    assert found.ratio == pytest.approx(1.0, abs=0.05)
    values[64:80] *= np.float32(0.5)
    found = one(line, values)
    assert "std" in found.faults
    assert found.finding.endswith("in block 1")


def test_a_padding_row_is_no_sample() -> None:
    line = entry(Normal(std=0.1), zeroed=2)
    values = drawn(Normal(std=0.1), seed=7)
    assert one(line, values).faults == ("value",)
    values[2] = 0.0
    assert one(line, values).faults == ()


def test_false_alarms_are_as_rare_as_stated() -> None:
    """50 models of 40 tensors of four laws and many sizes at a level of 1/2: the bound holds."""
    draws = [
        Normal(std=0.1),
        Uniform(low=-1.0, high=1.0),
        truncated_normal(std=0.5),
        Sparse(parent_std=1.0, kept=2, std=math.sqrt(2 / 8)),
    ]
    alarms = 0
    for model in range(50):
        lines = [entry(draws[k % 4], str(k), (4 + k, 8)) for k in range(40)]
        values = {e.name: generate(e.draw, e.shape, seed=1 + model, name=e.name) for e in lines if e.draw}
        found = audit(plan(*lines), lambda e, values=values: values[e.name], level=0.5)
        alarms += not found.agrees
    # Binomial(50, 1/2): 44 or more has a chance below 1e-7.
    assert alarms < 44


def test_the_record_prints_saves_and_loads(tmp_path: Any) -> None:
    draw = Normal(std=0.1)
    values = {f"layers.{k}.w": drawn(draw, seed=k + 5) * (2.0 if k == 3 else 1.0) for k in range(6)}
    found = audit(
        plan(*(entry(draw, name) for name in values)),
        lambda e: values[e.name].astype(np.float32),
        against="x",
    )
    assert found.verdict == "Net does not follow x: 1 of 6 tensors are not as declared (1 std)."
    assert "layers.0-2,4-5.w ×5" in str(found)
    assert "layers.3.w" in found.table(fold=False)
    assert found.table(fold=False).count("agrees") == 5
    assert Audit.load(found.save(tmp_path / "a.json")) == found
    assert Audit.from_json(found.to_json()) == found
    assert "chance" in found.why("layers.3.w")
    assert found.faulty == (found["layers.3.w"],)
    with pytest.raises(UnknownNameError, match="layers"):
        found["layers.9.w"]


def test_unrecognised_tensors_are_remarks_only() -> None:
    line = replace(entry(Normal(std=0.1)), status=Status.UNRECOGNISED)
    found = audit(plan(line), lambda _: drawn(Normal(std=0.2)))
    assert found["w"].severity == Severity.INFO
    assert found.agrees


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, math.nan])
def test_levels_out_of_range(level: float) -> None:
    with pytest.raises(InputError, match="false-alarm rate"):
        audit(plan(), lambda _: np.zeros(1), level=level)
    assert 0.0 < LEVEL < 1.0


def test_figures_of_odd_arrays() -> None:
    assert figures(np.zeros((0, 3), np.float32)).count == 0
    assert not figures(np.array([1.0, np.nan])).finite
    wide = figures(np.array([1e30, -1e30], np.float32))
    assert wide.std == pytest.approx(1e30)
    assert figures(np.full(10, 0.1, np.float32)).std == 0.0
