"""The analysis on hand-made steps: no framework is needed to read a run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from fanin.graphs.reading import Reading, analyse
from fanin.graphs.sources import Source, Span
from fanin.graphs.steps import Form, Part, Read, Region, Run, Step
from fanin.laws.quadrature import NODES
from fanin.records.graph import OpKind, UseKind

WIDTH = 4


def whole(name: str, shape: tuple[int, ...]) -> Source:
    dims = tuple((Span(dim=i, step=1, size=n),) for i, n in enumerate(shape))
    return Source(name=name, shape=shape, dims=dims, start=(0,) * len(shape))


def of(step: int, shape: tuple[int, ...] = (2, WIDTH)) -> Read:
    return Read(step=step, place=whole(str(step), shape), shape=shape)


def weight(name: str) -> Read:
    return Read(
        step=None, shape=(WIDTH, WIDTH), sources=(whole(name, (WIDTH, WIDTH)),), labels="cw", operand=1
    )


class Script:
    """A run written down by hand."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.functions: dict[int, Sequence[float]] = {}

    def add(
        self,
        form: Form,
        *reads: Read,
        adds: bool = False,
        multiplies: bool = False,
        subtracts: bool = False,
    ) -> int:
        id = len(self.steps)
        self.steps.append(
            Step(
                id=id,
                form=form,
                name=form,
                reads=reads,
                module=f"m{id}",
                call=0,
                shape=(2, WIDTH),
                dtype="float32",
                adds=adds,
                multiplies=multiplies,
                subtracts=subtracts,
            )
        )
        return id

    def input(self) -> int:
        return self.add(Form.INPUT)

    def linear(self, x: int, name: str) -> int:
        return self.add(Form.CONTRACTION, of(x), weight(name))

    def relu(self, x: int) -> int:
        id = self.add(Form.POINTWISE, of(x))
        self.functions[id] = np.maximum(NODES, 0.0).tolist()
        return id

    def sum(self, a: int, b: int) -> int:
        return self.add(Form.POINTWISE, of(a), of(b), adds=True)

    def product(self, a: int, b: int) -> int:
        return self.add(Form.POINTWISE, of(a), of(b), multiplies=True)

    def read(self, *outputs: int) -> Reading:
        def table(region: Region) -> Sequence[float] | None:
            return self.functions.get(region.end)

        return analyse(
            Run(
                steps=tuple(self.steps),
                outputs=tuple(of(id) for id in outputs),
                table=table,
                trial=lambda _: "",
                offset=lambda _id, _position: 0.0,
                identify=lambda values: "relu" if values[0] == 0.0 else None,
            )
        )


def test_a_chain_is_its_own_path_and_ends_in_a_head() -> None:
    script = Script()
    x = script.input()
    for depth in range(30):
        x = script.linear(x, f"w{depth}")
        if depth < 29:
            x = script.relu(x)
    reading = script.read(x)
    uses = [reading.uses[f"w{depth}"][0] for depth in range(30)]
    assert [use.activation for use in uses] == [0] * 29 + [None]
    assert [use.head for use in uses] == [False] * 29 + [True]
    assert [activation.name for activation in reading.activations] == ["relu"]
    assert reading.path == tuple(range(1, 60))


def test_a_residual_branch_has_a_start_a_join_and_a_final_weight() -> None:
    script = Script()
    x = script.linear(script.input(), "stem")
    y = script.linear(script.relu(script.linear(x, "a")), "b")
    z = script.linear(script.sum(x, y), "head")
    reading = script.read(z)
    (branch,) = reading.branches
    assert (branch.start, branch.final, branch.depth) == (x, ("b",), 2)
    assert reading.uses["b"][0].branch == 0
    assert reading.uses["a"][0].branch is None
    # The branch is jumped over by the stream, so its inside is not on the path.
    assert reading.path == (x, branch.join, z)


def test_a_projecting_shortcut_is_a_join() -> None:
    script = Script()
    x = script.linear(script.input(), "stem")
    long = script.linear(script.relu(script.linear(x, "a")), "b")
    short = script.linear(x, "shortcut")
    reading = script.read(script.linear(script.sum(long, short), "head"))
    assert [branch.final for branch in reading.branches] == [("b",)]


def test_two_equal_maps_of_one_input_are_no_join() -> None:
    script = Script()
    x = script.linear(script.input(), "stem")
    reading = script.read(script.sum(script.linear(x, "a"), script.linear(x, "b")))
    assert reading.branches == ()


def test_branches_that_join_one_after_the_other_are_both_found() -> None:
    script = Script()
    x = script.linear(script.input(), "stem")
    first = script.linear(script.relu(script.linear(x, "a")), "b")
    second = script.linear(script.relu(script.linear(x, "c")), "d")
    reading = script.read(script.linear(script.sum(script.sum(x, first), second), "head"))
    assert [(branch.start, branch.final) for branch in reading.branches] == [(x, ("b",)), (x, ("d",))]


def test_the_distance_from_a_target_is_no_join() -> None:
    script = Script()
    x = script.input()
    y = script.linear(script.relu(script.linear(x, "a")), "b")
    difference = script.add(Form.POINTWISE, of(y), of(x), adds=True, subtracts=True)
    reading = script.read(difference)
    assert reading.branches == ()
    assert reading.uses["b"][0].head


def test_embeddings_that_are_summed_are_no_join() -> None:
    script = Script()
    tokens, places = script.input(), script.input()
    table = Read(step=None, shape=(9, WIDTH), sources=(whole("t", (9, WIDTH)),), part=Part.TABLE)
    other = Read(step=None, shape=(9, WIDTH), sources=(whole("p", (9, WIDTH)),), part=Part.TABLE)
    a = script.add(Form.LOOKUP, table, of(tokens))
    b = script.add(Form.LOOKUP, other, of(places))
    reading = script.read(script.linear(script.sum(a, b), "head"))
    assert reading.branches == ()
    assert [use.kind for name in "tp" for use in reading.uses[name]] == [UseKind.EMBEDDING] * 2


def test_a_gate_marks_its_factors_and_the_weight_that_reads_it() -> None:
    script = Script()
    x = script.input()
    gate, up = script.linear(x, "gate"), script.linear(x, "up")
    reading = script.read(script.linear(script.product(script.relu(gate), up), "down"))
    assert reading.uses["gate"][0].gated
    assert reading.uses["gate"][0].activation == 0
    assert reading.uses["up"][0].gated
    assert reading.uses["up"][0].activation is None
    assert reading.uses["down"][0].gate_activation == 0


def test_a_product_of_two_separate_streams_is_no_gate() -> None:
    script = Script()
    a, b = script.linear(script.input(), "a"), script.linear(script.input(), "b")
    reading = script.read(script.product(a, b))
    assert not reading.uses["a"][0].gated


def test_a_function_of_one_tensor_may_meet_itself_again() -> None:
    script = Script()
    x = script.linear(script.input(), "w")
    squashed = script.add(Form.POINTWISE, of(x))
    product = script.product(x, squashed)
    script.functions[product] = (NODES / (1.0 + np.exp(-NODES))).tolist()
    reading = script.read(script.linear(product, "head"))
    kinds = {node.id: node.kind for node in reading.nodes}
    assert kinds[product] == OpKind.ACTIVATION
    assert squashed not in kinds


@pytest.mark.parametrize("slope", [1.0, -0.5])
def test_a_straight_line_is_no_activation(slope: float) -> None:
    script = Script()
    scaled = script.add(Form.POINTWISE, of(script.linear(script.input(), "w")), multiplies=True)
    script.functions[scaled] = (slope * NODES + 1.0).tolist()
    reading = script.read(scaled)
    assert reading.activations == ()
    assert reading.uses["w"][0].head


def test_the_analysis_needs_no_framework() -> None:
    code = "import sys, fanin.graphs.reading; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
