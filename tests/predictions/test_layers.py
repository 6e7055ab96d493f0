"""Laws of single operations, on graphs written by hand: no framework takes part."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from fanin.laws.quadrature import NODES
from fanin.predictions import Moments, predict
from fanin.predictions.layers import Taps
from fanin.records.axes import Axes, Role
from fanin.records.graph import Activation, Graph, Node, OpKind, Parameter, Use, UseKind
from fanin.records.prediction import Certainty, InputStatistics, NodePrediction

BATCH, UNITS, PLACES = 16, 32, 12
MATRIX = Axes(roles=(Role.OUT, Role.IN))
RELU, TANH = np.maximum(NODES, 0.0), np.tanh(NODES)


def node(id: int, kind: OpKind, inputs: tuple[int, ...], **fields: Any) -> Node:
    fields = {"shape": (BATCH, UNITS), "op": kind.value, **fields}
    return Node(id=id, kind=kind, inputs=inputs, module="", dtype="float32", **fields)


def graph(nodes: list[Node], uses: dict[str, Use] | None = None, units: int = UNITS) -> Graph:
    return Graph(
        model="Net",
        framework="none",
        engine="by hand",
        nodes=tuple(nodes),
        outputs=(nodes[-1].id,),
        path=tuple(n.id for n in nodes),
        parameters=tuple(
            Parameter(
                name=name,
                shape=(units, units) if use.axes else (units,),
                dtype="float32",
                uses=(use,),
            )
            for name, use in (uses or {}).items()
        ),
        activations=(
            Activation(name="relu", values=tuple(RELU)),
            Activation(name="tanh", values=tuple(TANH)),
        ),
        branches=(),
    )


def weight(at: int) -> Use:
    return Use(node=at, kind=UseKind.WEIGHT, axes=MATRIX)


def foretold(
    nodes: list[Node],
    uses: dict[str, Use] | None = None,
    weights: dict[str, Moments] | None = None,
    **given: float,
) -> list[NodePrediction]:
    given = {"power": 1.0, "near": 0.0, "far": 0.0, **given}
    statistics = InputStatistics(node=0, **given)
    found = predict(graph(nodes, uses), weights or {}, inputs=[statistics], batch=BATCH)
    return list(found.nodes)


INPUT = node(0, OpKind.INPUT, ())
LINEAR = node(1, OpKind.CONTRACTION, (0,))
LECUN = {"w": Moments(mean=0.0, variance=1 / UNITS)}


def test_a_layer_multiplies_by_its_variance_and_adds_its_bias() -> None:
    uses = {"w": weight(1), "b": Use(node=1, kind=UseKind.BIAS)}
    weights = {"w": Moments(mean=0.0, variance=0.5 / UNITS), "b": Moments(mean=0.1, variance=0.25)}
    found = foretold([INPUT, LINEAR], uses, weights, power=4.0, far=1.0)
    assert found[1].power == pytest.approx(0.5 * 4.0 + 0.26)
    assert found[1].mean == pytest.approx(0.1)
    assert found[1].cosine == pytest.approx((0.5 * 1.0 + 0.26) / found[1].power)
    # The gradient takes the weight's part alone.
    assert found[0].gradient_power == pytest.approx(0.5 * UNITS)


def test_equal_weights_add_the_means_up() -> None:
    found = foretold([INPUT, LINEAR], {"w": weight(1)}, {"w": Moments(mean=0.1, variance=0.0)}, power=1.0)
    # All units are 0.1 times one sum of 32 independent inputs.
    assert found[1].power == pytest.approx(0.01 * UNITS)
    assert found[1].certainty == Certainty.APPROXIMATE


def test_a_sum_with_a_layer_of_its_own_has_no_mixed_term_and_one_with_itself_has() -> None:
    add = node(2, OpKind.ADD, (0, 1), reads=((0,), (1,)))
    found = foretold([INPUT, LINEAR, add], {"w": weight(1)}, LECUN, power=3.0)
    assert found[2].power == pytest.approx(3.0 + 3.0)
    twice = node(1, OpKind.ADD, (0,), reads=((0,), (0,)))
    assert foretold([INPUT, twice], power=3.0)[1].power == pytest.approx(4 * 3.0)
    less = node(2, OpKind.ADD, (0, 1), reads=((0,), (1,)), settings=(("signs", (1.0, -1.0)),))
    scaled = node(1, OpKind.POINTWISE, (0,), factor=0.5)
    assert foretold([INPUT, scaled, less], power=3.0)[2].power == pytest.approx(0.25 * 3.0)


def test_a_sum_with_a_function_of_itself_against_simulation() -> None:
    rng = np.random.default_rng(0)
    z = math.sqrt(1.5) * rng.standard_normal(400_000)
    tanh = node(2, OpKind.ACTIVATION, (1,), activation=1)
    add = node(3, OpKind.ADD, (1, 2), reads=((1,), (2,)))
    found = foretold([INPUT, LINEAR, tanh, add], {"w": weight(1)}, LECUN, power=1.5)
    seen = (z + np.tanh(z)) ** 2
    assert abs(found[3].power - seen.mean()) < 6.1 * seen.std() / math.sqrt(len(seen))


def test_halves_of_one_layer_are_independent() -> None:
    wide = node(1, OpKind.CONTRACTION, (0,), shape=(BATCH, UNITS))
    half = UNITS // 2
    gate = node(
        2,
        OpKind.PRODUCT,
        (1,),
        reads=((1, 0, 0, BATCH, half), (1, 0, half, BATCH, half)),
        shape=(BATCH, half),
    )
    found = foretold([INPUT, wide, gate], {"w": weight(1)}, LECUN, power=2.0)
    assert found[2].power == pytest.approx(4.0)
    assert found[2].mean == 0.0
    square = node(2, OpKind.PRODUCT, (1,), reads=((1,), (1,)))
    assert foretold([INPUT, wide, square], {"w": weight(1)}, LECUN, power=2.0)[2].mean == pytest.approx(2.0)


def test_dropout_raises_the_power_and_keeps_products() -> None:
    drop = node(1, OpKind.DROPOUT, (0,), settings=(("p", (0.2,)), ("kept times", (1.25,))))
    found = foretold([INPUT, drop], power=2.0, far=1.0)
    assert found[1].power == pytest.approx(2.5)
    assert found[1].cosine == pytest.approx(1.0 / 2.5)


def test_norms_over_units_and_over_the_batch() -> None:
    layer = node(1, OpKind.NORM, (0,), settings=(("eps", (0.0,)), ("last", (1.0,)), ("centred", (1.0,))))
    found = foretold([INPUT, layer], power=5.0, far=2.0)
    assert found[1].power == pytest.approx(1.0)
    assert found[1].cosine == pytest.approx(2.0 / 5.0)
    batch = (("eps", (0.0,)), ("over the batch", (1.0,)), ("training", (1.0,)))
    found = foretold([INPUT, node(1, OpKind.NORM, (0,), settings=batch)], power=5.0, far=2.0)
    assert found[1].power == pytest.approx(1.0)
    # What all samples share is gone: the others' mean is minus their own share.
    assert found[1].cosine == pytest.approx(-1.0 / (BATCH - 1), abs=1e-9)
    stored = (("eps", (0.0,)), ("over the batch", (1.0,)), ("training", (0.0,)))
    found = foretold([INPUT, node(1, OpKind.NORM, (0,), settings=stored)], power=5.0, far=2.0)
    assert found[1].power == pytest.approx(5.0)
    assert found[1].certainty == Certainty.APPROXIMATE


def test_the_gradient_of_batch_norm_after_relu_explodes_by_pi_over_pi_less_1() -> None:
    # G. Yang et al., 2019: 1.467 a layer for a large batch.
    nodes, uses, weights = [node(0, OpKind.INPUT, (), shape=(100_000, 4096))], {}, {}
    settings = (("eps", (0.0,)), ("over the batch", (1.0,)), ("training", (1.0,)))
    many, wide = 100_000, 4096  # narrow layers explode faster: every unit has a variance of its own
    for k in range(8):
        at = 3 * k
        nodes += [
            node(at + 1, OpKind.CONTRACTION, (at,), shape=(many, wide)),
            node(at + 2, OpKind.NORM, (at + 1,), settings=settings, shape=(many, wide)),
            node(at + 3, OpKind.ACTIVATION, (at + 2,), activation=0, shape=(many, wide)),
        ]
        uses[f"w{k}"], weights[f"w{k}"] = weight(at + 1), Moments(mean=0.0, variance=1e-5)
    found = predict(graph(nodes, uses, wide), weights, inputs=[InputStatistics(node=0)], batch=many)
    powers = {p.node: p.gradient_power or 0.0 for p in found.nodes}
    for k in range(2, 7):
        factor = powers[3 * k + 1 - 3] / powers[3 * k + 1]
        assert factor == pytest.approx(math.pi / (math.pi - 1), rel=0.01)


def test_a_mean_over_places_keeps_what_they_share() -> None:
    first = node(0, OpKind.INPUT, (), shape=(BATCH, PLACES, UNITS))
    pool = node(
        1, OpKind.POOL, (0,), op="mean", settings=(("dim", (1.0,)), ("mean", (1.0,)), ("sum", (0.0,)))
    )
    found = foretold([first, pool], power=3.0, near=1.0, far=0.5)
    assert found[1].power == pytest.approx(1.0 + 2.0 / PLACES)
    assert found[1].cosine == pytest.approx(0.5 / found[1].power)


def test_attention_against_simulation() -> None:
    rng = np.random.default_rng(2)
    shape = (BATCH, PLACES, UNITS)
    first = node(0, OpKind.INPUT, (), shape=shape)
    scores = node(
        1, OpKind.PRODUCT, (0,), reads=((0, 0, 0, 0, 1, 1, 1), (0, 0, 0, 1, 1, 1, 1)),
        shape=(BATCH, PLACES, PLACES), settings=(("summed", (float(UNITS),)),),
    )  # fmt: skip
    scaled = node(2, OpKind.POINTWISE, (1,), factor=1 / math.sqrt(UNITS), shape=(BATCH, PLACES, PLACES))
    soft = node(3, OpKind.SOFTMAX, (2,), settings=(("dim", (-1.0,)),), shape=(BATCH, PLACES, PLACES))
    out = node(4, OpKind.ATTENTION, (3, 0), reads=((3,), (0, 0, 0, 2, 1, 1, 1)), shape=shape)
    found = foretold([first, scores, scaled, soft, out], power=1.0, near=0.3)
    seen = []
    for _ in range(400):
        q, k, v = (
            math.sqrt(0.3) * rng.standard_normal((1, UNITS))
            + math.sqrt(0.7) * rng.standard_normal((PLACES, UNITS))
            for _ in range(3)
        )
        a = np.exp(q @ k.T / math.sqrt(UNITS))
        seen.append((((a / a.sum(axis=1, keepdims=True)) @ v) ** 2).mean())
    # Scores of a row share their query, so they are Gaussian with a variance of its own: 5 % here.
    assert found[4].power == pytest.approx(np.mean(seen), rel=0.05)
    assert found[4].certainty == Certainty.APPROXIMATE


def test_the_largest_of_a_window_against_simulation() -> None:
    rng = np.random.default_rng(4)
    shape = (BATCH, 8, 8, 8)
    first = node(0, OpKind.INPUT, (), shape=shape)
    relu = node(1, OpKind.ACTIVATION, (0,), activation=0, shape=shape)
    pool = node(
        2, OpKind.POOL, (1,), op="max_pool2d", shape=(BATCH, 8, 4, 4),
        settings=(("kernel_size", (2.0, 2.0)), ("maximum", (1.0,))),
    )  # fmt: skip
    found = foretold([first, relu, pool], power=1.0, near=0.4)
    z = math.sqrt(0.4) * rng.standard_normal((200_000, 1)) + math.sqrt(0.6) * rng.standard_normal(
        (200_000, 4)
    )
    top = np.maximum(z, 0.0).max(axis=1)
    assert found[2].mean == pytest.approx(top.mean(), abs=6.1 * top.std() / math.sqrt(len(top)) + 1e-3)
    assert found[2].power == pytest.approx((top**2).mean(), rel=0.02)
    assert "largest of a window" in " ".join(found[2].reasons)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation"),
    list(itertools.product([7, 8], [1, 3], [1, 2], [0, 1], [1, 2])),
)
def test_taps_of_a_convolution_one_by_one(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    settings = tuple(
        (name, (float(n),))
        for name, n in (("kernel", kernel), ("stride", stride), ("padding", padding), ("dilation", dilation))
    )
    taps = Taps(node(1, OpKind.CONVOLUTION, (0,), shape=(BATCH, 4, out), settings=settings), (BATCH, 4, size))
    rng = np.random.default_rng(0)
    x, g = rng.random(size), rng.random(out)
    forward, backward = np.zeros(out), np.zeros(size)
    for o in range(out):
        for k in range(kernel):
            i = o * stride + k * dilation - padding
            if 0 <= i < size:
                forward[o] += x[i]
                backward[i] += g[o]
    np.testing.assert_allclose(taps.forward(x), forward)
    np.testing.assert_allclose(taps.backward(g), backward)
    turned = Taps(
        node(
            1, OpKind.CONVOLUTION, (0,), shape=(BATCH, 4, size), settings=(*settings, ("transposed", (1.0,)))
        ),
        (BATCH, 4, out),
    )
    np.testing.assert_allclose(turned.forward(g), backward)
    np.testing.assert_allclose(turned.backward(x), forward)


def test_padding_starves_the_border_of_a_deep_convolution() -> None:
    # Sums over three neighbours of n places between zeros have the top eigenvalue 1 + 2 cos(pi / (n + 1)).
    places, depth = 8, 40
    axes = Axes(roles=(Role.OUT, Role.IN, Role.RECEPTIVE))
    nodes = [node(0, OpKind.INPUT, (), shape=(BATCH, UNITS, places))]
    parameters, weights = [], {}
    for k in range(depth):
        settings = tuple((n, (float(v),)) for n, v in (("kernel", 3), ("stride", 1), ("padding", 1)))
        nodes.append(node(k + 1, OpKind.CONVOLUTION, (k,), shape=(BATCH, UNITS, places), settings=settings))
        use = Use(node=k + 1, kind=UseKind.WEIGHT, axes=axes)
        parameters.append(Parameter(name=f"w{k}", shape=(UNITS, UNITS, 3), dtype="float32", uses=(use,)))
        weights[f"w{k}"] = Moments(mean=0.0, variance=1 / (3 * UNITS))
        nodes[-1] = node(
            k + 1,
            OpKind.CONVOLUTION,
            (k,),
            shape=(BATCH, UNITS, places),
            settings=settings,
            parameters=(f"w{k}",),
        )
    made = graph(nodes)
    full = Graph(
        model="", framework="", engine="", nodes=made.nodes, outputs=made.outputs, path=made.path,
        parameters=tuple(parameters), activations=(), branches=(),
    )  # fmt: skip
    found = predict(full, weights, inputs=[InputStatistics(node=0)], batch=BATCH).nodes
    factor = (1 + 2 * math.cos(math.pi / (places + 1))) / 3
    assert found[-1].power / found[-2].power == pytest.approx(factor, rel=1e-3)
    back = [p.gradient_power or 0.0 for p in found]
    assert back[1] / back[2] == pytest.approx(factor, rel=1e-3)


def test_what_is_not_known_is_left_out_and_said() -> None:
    found = predict(
        graph([INPUT, LINEAR], {"w": weight(1)}), {}, inputs=[InputStatistics(node=0)], batch=BATCH
    )
    assert [p.node for p in found.nodes] == [0]
    assert "not predicted: 1 operations without a law (contraction)" in found.notes
