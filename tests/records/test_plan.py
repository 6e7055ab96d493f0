"""A plan prints, answers why, can be edited, and tells how it differs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fanin.errors import InputError, UnknownNameError
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Constant, Draw, Normal, Uniform
from fanin.records.plan import Entry, Plan, Status


def entry(name: str, **changes: object) -> Entry:
    base = Entry(
        name=name,
        shape=(3, 4),
        dtype="float32",
        axes=as_axes(None, (3, 4)),
        fan_in=4.0,
        fan_out=3.0,
        gain=1.5,
        status=Status.CLAIMED,
        draw=Normal(std=0.75),
        scheme="he_normal",
        rule="feeds an activation",
        reason="relu follows",
        evidence=("node 3 is relu",),
        references=("He et al. 2015, eq. 10",),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture
def plan() -> Plan:
    lines = [entry(f"net.{i}.weight") for i in range(3)]
    lines.append(entry("embed.weight", aliases=("head.weight",)))
    lines.append(
        entry(
            "net.0.bias",
            shape=(3,),
            axes=None,
            fan_in=None,
            fan_out=None,
            gain=None,
            draw=Constant(value=0.0),
        )
    )
    lines.append(entry("odd", status=Status.UNRECOGNISED, draw=None, reason="nothing explains it"))
    return Plan(model="Net", framework="torch", policy="auto", seed=7, stream=1, entries=tuple(lines))


@dataclass(frozen=True)
class Half:
    name: str = "half"

    def draw(self, shape: tuple[int, ...], axes: Axes | None) -> Draw:
        if axes is None:
            raise InputError("No axes.")
        return Normal(std=0.5 * shape[0])


def test_the_table_folds_repeated_blocks_and_hides_nothing(plan: Plan) -> None:
    text = str(plan)
    assert "net.0-2.weight ×3" in text
    assert "UNRECOGNISED: nothing explains it" in text
    assert "tied: embed.weight = head.weight" in text
    assert "6 tensors (5 claimed, 1 unrecognised); policy auto, seed 7, stream 1" in text
    assert plan.table(fold=False).count("net.") == 4
    assert repr(plan) == text


def test_why_tells_rule_evidence_numbers_and_source(plan: Plan) -> None:
    text = plan.why("net.1.weight")
    for part in (
        "feeds an activation",
        "relu follows",
        "node 3",
        "fan_in 4",
        "gain 1.5",
        "std 0.75",
        "He et al. 2015",
    ):
        assert part in text


def test_an_alias_finds_its_entry_and_a_typo_its_neighbour(plan: Plan) -> None:
    assert plan["head.weight"].name == "embed.weight"
    with pytest.raises(UnknownNameError, match=r"'net\.9\.weigth'.*Did you mean 'net"):
        plan["net.9.weigth"]


def test_override_changes_what_matches_and_nothing_else(plan: Plan) -> None:
    edited = plan.override({"net.*.weight": Half(), "net.2.*": Uniform(low=-1.0, high=1.0)})
    assert [e.draw for e in edited.entries[:3]] == [
        Normal(std=1.5),
        Normal(std=1.5),
        Uniform(low=-1.0, high=1.0),
    ]
    assert edited.entries[3:] == plan.entries[3:]
    assert edited["net.0.weight"].reason == "the user's rule 'net.*.weight'"
    assert plan["net.0.weight"].draw == Normal(std=0.75)


def test_override_reaches_tied_names(plan: Plan) -> None:
    assert plan.override({"head.*": Normal(std=1.0)})["embed.weight"].draw == Normal(std=1.0)


def test_override_refuses_a_pattern_without_match(plan: Plan) -> None:
    with pytest.raises(InputError, match=r"matches no tensor.*'nets\.\*'"):
        plan.override({"nets.*": Half()})


def test_override_names_the_tensor_a_scheme_cannot_serve(plan: Plan) -> None:
    with pytest.raises(
        InputError, match=r"Pattern '\*\.bias' cannot be carried out on 'net\.0\.bias'\. No axes"
    ):
        plan.override({"*.bias": Half()})


def test_override_wants_a_scheme(plan: Plan) -> None:
    with pytest.raises(InputError, match=r"has no scheme\. Received: 0\.02"):
        plan.override({"*": 0.02})  # type: ignore[dict-item]


def test_diff(plan: Plan) -> None:
    assert not plan.diff(plan)
    assert str(plan.diff(plan)) == "no difference"
    edited = plan.override({"net.2.weight": Normal(std=0.1)})
    shorter = replace(edited, entries=edited.entries[:-1], seed=8)
    difference = plan.diff(shorter)
    assert [(c.name, c.field) for c in difference.changes] == [
        ("(plan)", "seed"),
        ("net.2.weight", "draw"),
        ("odd", "tensor"),
    ]
    assert "N(0, 0.75²)  N(0, 0.1²)" in str(difference)
    assert "(absent)" in str(difference)


def test_save_and_load(plan: Plan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan


def test_nothing_in_a_plan_steers_a_terminal() -> None:
    steering = "a\x1b[31mb\u202ec\x07"
    line = entry(steering, aliases=(steering,), reason=steering)
    plan = Plan(
        model=steering,
        framework="torch",
        policy=steering,
        seed=0,
        stream=1,
        entries=(line,),
        notes=(steering,),
    )
    for shown in (str(plan), plan.summary()):
        assert "b" in shown
        assert not set("\x1b\u202e\x07") & set(shown)
    assert Plan.from_json(plan.to_json()) == plan
