"""Fans of every kind of layer, against counts made by running the layer on ones."""

from __future__ import annotations

import numpy as np
import pytest

from fanin.errors import InputError
from fanin.laws.fans import Fans, fans
from fanin.records.axes import Axes, Role

OUT, IN, REC = Role.OUT, Role.IN, Role.RECEPTIVE


def conv1d_terms(length: int, kernel: int, stride: int, *, transposed: bool) -> tuple[float, float]:
    """Kernel positions that an output sums over, and that an input feeds, on average inside."""
    shape = (length * stride, length) if transposed else (length, length * stride)
    links = np.zeros(shape)  # links[output, input]
    for coarse in range(length):
        for tap in range(kernel):
            fine = coarse * stride + tap
            if fine < length * stride:
                links[(fine, coarse) if transposed else (coarse, fine)] = 1
    margin = 2 * kernel
    inside = links[margin:-margin].sum(axis=1).mean()
    feeds = links[:, margin:-margin].sum(axis=0).mean()
    return float(inside), float(feeds)


@pytest.mark.parametrize(
    ("shape", "axes", "fan_in", "fan_out"),
    [
        pytest.param((256, 784), None, 784, 256, id="dense, out in"),
        pytest.param((784, 256), "in out", 784, 256, id="dense, in out"),
        pytest.param((64, 32, 3, 3), None, 288, 576, id="conv, OIHW"),
        pytest.param((3, 3, 32, 64), "receptive receptive in out", 288, 576, id="conv, HWIO"),
        pytest.param((64, 8, 3, 3), Axes(roles=(OUT, IN, REC, REC), groups=4), 72, 144, id="grouped by 4"),
        pytest.param((64, 1, 3, 3), Axes(roles=(OUT, IN, REC, REC), groups=64), 9, 9, id="depthwise, torch"),
        pytest.param((3, 3, 32, 2), "receptive receptive group out", 9, 18, id="depthwise, Keras"),
        pytest.param(
            (256, 16, 4, 4),
            Axes(roles=(IN, OUT, REC, REC), transposed=True),
            4096,
            256,
            id="transposed, stride 1",
        ),
        pytest.param(
            (256, 16, 4, 4),
            Axes(roles=(IN, OUT, REC, REC), transposed=True, stride=4),
            1024,
            256,
            id="transposed, stride 2x2",
        ),
        pytest.param(
            (64, 16, 4),
            Axes(roles=(IN, OUT, REC), transposed=True, groups=2, stride=2),
            64,
            64,
            id="transposed, grouped, strided",
        ),
        pytest.param((64, 32, 4, 4), Axes(roles=(OUT, IN, REC, REC), stride=4), 512, 256, id="strided"),
        pytest.param((8, 64, 32), "batch in out", 64, 32, id="eight experts"),
        pytest.param((512, 8, 64), "in out out", 512, 512, id="attention heads"),
        pytest.param((5,), "in", 5, 1, id="a vector with a role"),
        pytest.param((), "", 1, 1, id="a scalar with no roles to give"),
    ],
)
def test_fans_by_roles(
    shape: tuple[int, ...], axes: Axes | str | None, fan_in: float, fan_out: float
) -> None:
    assert fans(shape, axes) == Fans(fan_in=fan_in, fan_out=fan_out)


@pytest.mark.parametrize("kernel", [3, 4, 6])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_fans_count_the_links_of_a_convolution(kernel: int, stride: int, transposed: bool) -> None:
    inside, feeds = conv1d_terms(120, kernel, stride, transposed=transposed)
    got = fans((1, 1, kernel), Axes(roles=(OUT, IN, REC), stride=stride, transposed=transposed))
    # The mean over an interval that is no whole number of strides is off by one of >= 100 links.
    assert got.fan_in == pytest.approx(inside, rel=0.02)
    assert got.fan_out == pytest.approx(feeds, rel=0.02)


def test_averages() -> None:
    both = Fans(fan_in=4.0, fan_out=16.0)
    assert both.fan_avg == 10.0
    assert both.fan_geo_avg == 8.0
    assert str(both) == "fan_in 4, fan_out 16"


def test_a_fan_need_not_be_whole() -> None:
    assert fans((4, 2, 3), Axes(roles=(OUT, IN, REC), stride=2)).fan_out == 6.0
    assert fans((1, 2, 3), Axes(roles=(OUT, IN, REC), stride=2)).fan_out == 1.5


@pytest.mark.parametrize("shape", [(), (7,)])
def test_too_few_dimensions_name_the_roles_to_give(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"fewer than two dimensions.*axes='in' or axes='out'"):
        fans(shape)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3, 4, 0)])
def test_an_empty_dimension_has_no_fan(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"A fan is zero\. Received: shape .*role 'batch'"):
        fans(shape)


def test_an_empty_batch_is_no_matter() -> None:
    assert fans((0, 3, 4), "batch out in") == Fans(fan_in=4.0, fan_out=3.0)


@pytest.mark.parametrize(
    ("shape", "axes", "text"),
    [
        ((2, 3), "out", "exactly one role a dimension"),
        ((2, 3), "out input", "A word in axes is no role"),
        ((5, 3, 3), Axes(roles=(OUT, IN, REC), groups=2), "Groups do not divide"),
        ((-2, 3), None, "negative dimension"),
    ],
)
def test_roles_that_do_not_fit(shape: tuple[int, ...], axes: Axes | str | None, text: str) -> None:
    with pytest.raises(InputError, match=text):
        fans(shape, axes)
