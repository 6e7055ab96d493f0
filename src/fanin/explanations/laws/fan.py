"""The law of fans: how many terms a unit adds up, forward and backward."""

from __future__ import annotations

import math

from fanin.explanations.topic import Topic
from fanin.laws.fans import fans
from fanin.records.axes import Axes, Role
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table
from fanin.schemes.dialects.dialect import dialect
from fanin.schemes.he import he_normal

__all__ = ["TOPIC"]

_IN, _OUT, _TAP, _GROUP, _BATCH = Role.IN, Role.OUT, Role.RECEPTIVE, Role.GROUP, Role.BATCH
_TRANSPOSED = (256, 16, 4, 4)
_LAYERS: tuple[tuple[str, tuple[int, ...], Axes], ...] = (
    ("dense, PyTorch", (256, 784), Axes(roles=(_OUT, _IN))),
    ("dense, Keras and JAX", (784, 256), Axes(roles=(_IN, _OUT))),
    ("convolution 3 × 3", (64, 32, 3, 3), Axes(roles=(_OUT, _IN, _TAP, _TAP))),
    ("the same, stride 2", (64, 32, 3, 3), Axes(roles=(_OUT, _IN, _TAP, _TAP), stride=4)),
    ("grouped, 4 groups", (64, 8, 3, 3), Axes(roles=(_OUT, _IN, _TAP, _TAP), groups=4)),
    ("depthwise, Keras", (3, 3, 64, 1), Axes(roles=(_TAP, _TAP, _GROUP, _OUT))),
    ("transposed, stride 2", _TRANSPOSED, Axes(roles=(_IN, _OUT, _TAP, _TAP), stride=4, transposed=True)),
    ("queries, keys, values in one", (768, 256), Axes(roles=(_OUT, _IN), groups=3)),
    ("heads, Keras", (512, 8, 64), Axes(roles=(_IN, _OUT, _OUT))),
    ("8 experts", (8, 64, 32), Axes(roles=(_BATCH, _IN, _OUT))),
    ("embedding, looked up", (50_000, 768), Axes(roles=(_BATCH, _OUT))),
)


def _build(topic: Topic, depth: int) -> Explanation:  # noqa: ARG001 - the form of all topics
    whole = fans(_TRANSPOSED, Axes(roles=(_IN, _OUT, _TAP, _TAP), stride=4, transposed=True))
    at_one = fans(_TRANSPOSED, Axes(roles=(_IN, _OUT, _TAP, _TAP), transposed=True))
    return topic.answer(
        "fan_in = in × receptive (over the strides, if transposed); fan_out = out × receptive (over the "
        "strides, if not); groups, blocks and copies are in neither.",
        summary="A fan is a number of terms in a sum, so it follows from what each dimension means, and "
        "not "
        "from where it stands.",
        steps=(
            Step(
                title="A sum of independent terms",
                text="z = Σ w·x over fan_in terms has the variance fan_in · Var[w] · E x², and a gradient "
                "at one input is "
                "a sum over fan_out units: these two counts are all that a variance law needs of a shape.",
            ),
            Step(
                title="Groups and copies",
                text="A unit of a group adds up the inputs of its group only; an expert those of its own "
                "matrix. Their "
                "dimension is in neither fan, and a dimension that packs them is divided by their number.",
            ),
            Step(
                title="Strides",
                text="Of a kernel's positions one output of a transposed convolution meets one in "
                "`stride` along each "
                "dimension, for its inputs lie apart. The same holds for the gradient of a plain one.",
                numbers=(
                    Number(name="fan_in, stride 1", value=at_one.fan_in, formula="256 × 4 × 4"),
                    Number(name="fan_in, stride 2", value=whole.fan_in, formula="256 × 4 × 4 / (2 × 2)"),
                    Number(
                        name="std too small by",
                        value=math.sqrt(at_one.fan_in / whole.fan_in),
                        note="where the stride is left out",
                    ),
                ),
            ),
        ),
        tables=(_table(),),
        charts=(_chart(),),
        references=(
            "He et al. 2015, section 2.2",
            "Glorot and Bengio 2010, section 4.2.1",
        ),
    )


def _table() -> Table:
    rows = []
    for name, shape, axes in _LAYERS:
        found = fans(shape, axes)
        cells = (name, " × ".join(map(str, shape)), str(axes), f"{found.fan_in:g}", f"{found.fan_out:g}")
        rows.append(cells)
    return Table(
        title="Fans of layers", header=("layer", "shape as stored", "roles", "fan_in", "fan_out"),
        rows=tuple(rows), note="Roles are in the order of the stored dimensions.",
    )  # fmt: skip


def _chart() -> Chart:
    """Power that one transposed layer gives a unit input, by stride."""
    strides = (1, 2, 3, 4)
    peer = dialect("torch").kaiming_normal(nonlinearity="relu").draw(_TRANSPOSED).std ** 2 / 2
    ours, naive, theirs = [], [], []
    for stride in strides:
        axes = Axes(roles=(_IN, _OUT, _TAP, _TAP), stride=stride**2, transposed=True)
        true = fans(_TRANSPOSED, axes).fan_in
        ours.append(true * he_normal("linear").draw(_TRANSPOSED, axes).std ** 2)
        naive.append(true / fans(_TRANSPOSED, Axes(roles=axes.roles, transposed=True)).fan_in)
        theirs.append(true * peer)
    x = tuple(float(n) for n in strides)
    return Chart(
        title="Power after a transposed convolution, 256 to 16 channels, 4 × 4",
        x="stride",
        y="log2 of the power for power 1",
        curves=(
            Curve(name="roles and stride", x=x, y=tuple(map(math.log2, ours))),
            Curve(name="stride left out", x=x, y=tuple(map(math.log2, naive))),
            Curve(name="PyTorch: outputs for inputs too", x=x, y=tuple(map(math.log2, theirs))),
        ),
    )


TOPIC = Topic(name="fans", question="Fans: how many terms a unit adds up", build=_build, kind="law")
