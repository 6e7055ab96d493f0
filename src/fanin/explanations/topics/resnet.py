"""What ResNet really used."""

from __future__ import annotations

import math

from fanin.explanations.topic import Topic
from fanin.laws.fans import fans
from fanin.laws.gains import gain
from fanin.records.axes import Axes, Role
from fanin.records.explanation import Chart, Curve, Explanation, Number, Step, Table

__all__ = ["TOPIC"]

_KERNELS = {
    "stem, 7×7, stride 2": ((64, 3, 7, 7), 2),
    "3×3 of stage 1": ((64, 64, 3, 3), 1),
    "first 3×3 of stage 2, stride 2": ((128, 64, 3, 3), 2),
    "1×1 that widens": ((256, 64, 1, 1), 1),
}


def _build(topic: Topic, depth: int) -> Explanation:
    relu = gain("relu")
    rows = []
    for name, (shape, stride) in _KERNELS.items():
        plain = fans(shape)
        true = fans(shape, _conv(stride))
        ahead, back = (relu.forward / math.sqrt(fan) for fan in (plain.fan_in, plain.fan_out))
        rows.append(
            (
                name,
                f"{plain.fan_in:g}",
                f"{ahead:.5f}",
                f"{plain.fan_out:g}",
                f"{back:.5f}",
                f"{plain.fan_in / plain.fan_out:.4g}",
                f"{true.fan_out:g}",
            )
        )
    return topic.answer(
        "The paper says only that weights are initialized as in He et al. 2015 (sqrt(2/fan)). The code "
        "that people copied "
        "takes a plain normal with fan_out; batch norm after every convolution hides the difference.",
        steps=(
            Step(
                title="What is published",
                text="Deep Residual Learning, section 3.4, refers to Delving Deep into Rectifiers, "
                "which derives both fans "
                "and calls either one sufficient. Facebook's Torch code (fb.resnet.torch), and "
                "torchvision after it, draw N(0, 2 / (k² · out)): fan_out. Norm scales are 1, shifts 0.",
                numbers=(Number(name="gain", value=relu.forward, formula="sqrt(2), both ways for ReLU"),),
            ),
            Step(
                title="Why either works here",
                text="Each convolution is followed by batch norm, which undoes the factor fan_in / "
                "fan_out of the table in "
                "the forward pass; it then sets only the size of the first steps (see `batch-norm`).",
            ),
            Step(
                title="What the skip does to the power",
                text="x + branch(x) adds up. A branch of power equal to its input doubles it a block; "
                "a branch that ends in a "
                "norm adds 1; a branch whose last norm scale is 0 adds nothing at the start.",
                numbers=(
                    Number(name="no norm", value=2.0**depth, formula=f"2^{depth} blocks"),
                    Number(name="norm at the end", value=1.0 + depth, formula=f"1 + {depth}"),
                    Number(name="last scale 0", value=1.0),
                ),
            ),
            Step(
                title="What came later",
                text="Goyal et al. 2017 set the last norm scale of each branch to 0 and the classifier "
                "to std 0.01. In "
                "torchvision that is `zero_init_residual`, off by default; timm has it on. It is no "
                "part of the "
                "original ResNet.",
            ),
        ),
        tables=(
            Table(
                title="Kernels of ResNet under both readings of sqrt(2/fan)",
                header=(
                    "kernel", "fan_in", "std, fan_in", "fan_out", "std, fan_out", "forward with fan_out",
                    "fan_out with stride",
                ),
                rows=tuple(rows),
                note="Forward with fan_out: what the layer multiplies the signal's power by, before "
                "the norm. "
                "A stride leaves each input fewer positions of the kernel, which no library's fan_out "
                "counts.",
            ),
        ),
        charts=(
            Chart(
                title="Power of the stream by block",
                x="block",
                y="log10 of the power",
                curves=tuple(
                    Curve(name=name, x=tuple(float(i) for i in range(depth + 1)), y=tuple(line))
                    for name, line in (
                        ("no norm: 2 to the L", [i * math.log10(2.0) for i in range(depth + 1)]),
                        ("branch ends in a norm: 1 + L", [math.log10(1.0 + i) for i in range(depth + 1)]),
                        ("last scale 0: 1", [0.0] * (depth + 1)),
                    )
                ),
            ),
        ),
        references=(
            "He et al., Deep Residual Learning for Image Recognition, 2016, section 3.4",
            "He et al. 2015, section 2.2",
            "Goyal et al., Accurate, Large Minibatch SGD, 2017, section 5.1",
        ),
    )  # fmt: skip


def _conv(stride: int) -> Axes:
    return Axes(roles=(Role.OUT, Role.IN, Role.RECEPTIVE, Role.RECEPTIVE), stride=stride**2)


TOPIC = Topic(name="resnet", question="What did ResNet really use?", build=_build)
