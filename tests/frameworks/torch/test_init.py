"""Drop-ins: PyTorch's names, signatures and exact laws; fanin's numbers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import fanin
import fanin.torch as ft
from fanin.errors import InputError
from fanin.laws import moments
from fanin.schemes import registry
from fanin.torch import init, named

FALSE_ALARM = 1e-9
"""Share of correct implementations that a test of this file would call wrong."""

RANDOM = (
    *("uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_"),
    *("kaiming_uniform_", "kaiming_normal_", "orthogonal_", "sparse_"),
)
ALL = tuple(name for name in init.__all__ if name.endswith("_"))


@pytest.mark.parametrize("name", [*ALL, "calculate_gain"])
def test_signatures_are_those_of_torch(name: str) -> None:
    mine = inspect.signature(getattr(ft, name)).parameters
    theirs = inspect.signature(getattr(nn.init, name)).parameters
    assert list(mine)[: len(theirs)] == list(theirs)
    for key, parameter in theirs.items():
        assert (mine[key].default, mine[key].kind) == (parameter.default, parameter.kind)
    extra = ("seed", "name") if name in RANDOM else ()
    assert tuple(mine)[len(theirs) :] == extra


def test_no_function_of_torch_is_absent() -> None:
    # (Older releases have no list of their own.)
    named = getattr(nn.init, "__all__", [name for name in dir(nn.init) if not name.startswith("_")])
    theirs = {name for name in named if name.endswith("_")} | {"calculate_gain"}
    assert theirs <= set(ft.__all__)


def law_holds(values: torch.Tensor, cdf: Callable[[np.ndarray], np.ndarray]) -> None:
    """Raise if values do not follow a distribution (Kolmogorov-Smirnov)."""
    found = stats.kstest(values.double().numpy().ravel(), cdf).pvalue
    if found < FALSE_ALARM:
        raise AssertionError(f"not the law: p = {found:.2g}")


def uniform(half: float) -> Callable[[np.ndarray], np.ndarray]:
    return stats.uniform(-half, 2 * half).cdf


CASES: tuple[tuple[str, dict[str, Any], Callable[[np.ndarray], np.ndarray]], ...] = (
    ("uniform_", {}, stats.uniform(0, 1).cdf),
    ("uniform_", {"a": -3.0, "b": 1.0}, stats.uniform(-3, 4).cdf),
    ("normal_", {}, stats.norm(0, 1).cdf),
    ("normal_", {"mean": 2.0, "std": 0.1}, stats.norm(2, 0.1).cdf),
    ("trunc_normal_", {}, stats.truncnorm(-2, 2).cdf),
    ("trunc_normal_", {"mean": 1.0, "std": 2.0, "a": 0.0, "b": 1.5}, stats.truncnorm(-0.5, 0.25, 1, 2).cdf),
    ("trunc_normal_", {"a": 5.0, "b": 9.0}, stats.truncnorm(5, 9).cdf),
    ("trunc_normal_", {"a": 1.0, "b": math.inf}, stats.truncnorm(1, math.inf).cdf),
    ("xavier_uniform_", {}, uniform(math.sqrt(6 / (40 * 9 + 60 * 9)))),
    ("xavier_uniform_", {"gain": 2.0}, uniform(2 * math.sqrt(6 / (40 * 9 + 60 * 9)))),
    ("xavier_normal_", {"gain": 2.0}, stats.norm(0, 2 * math.sqrt(2 / (40 * 9 + 60 * 9))).cdf),
    ("kaiming_uniform_", {}, uniform(math.sqrt(6 / (40 * 9)))),
    ("kaiming_uniform_", {"a": math.sqrt(5)}, uniform(1 / math.sqrt(40 * 9))),
    ("kaiming_normal_", {}, stats.norm(0, math.sqrt(2 / (40 * 9))).cdf),
    (
        "kaiming_normal_",
        {"mode": "FAN_OUT", "nonlinearity": "tanh"},
        stats.norm(0, 5 / 3 / math.sqrt(60 * 9)).cdf,
    ),
)


@pytest.mark.parametrize(("name", "arguments", "cdf"), CASES)
def test_laws(name: str, arguments: dict[str, Any], cdf: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = torch.empty(60, 40, 3, 3)
    assert getattr(ft, name)(tensor, **arguments, seed=11) is tensor
    law_holds(tensor, cdf)


def test_the_test_of_laws_can_fail() -> None:
    values = ft.normal_(torch.empty(60, 40, 3, 3), std=1.2, seed=11)
    with pytest.raises(AssertionError, match="not the law"):
        law_holds(values, stats.norm(0, 1).cdf)


@pytest.mark.parametrize("name", RANDOM)
def test_torchs_own_generators_govern(name: str) -> None:
    more = {"sparsity": 0.5} if name == "sparse_" else {}
    call = getattr(ft, name)

    def drawn(**kwargs: Any) -> torch.Tensor:
        result: torch.Tensor = call(torch.empty(20, 30), **more, **kwargs)
        return result

    torch.manual_seed(3)
    one, two = drawn(), drawn()
    torch.manual_seed(3)
    assert torch.equal(drawn(), one)
    assert not torch.equal(one, two)
    generator = torch.Generator().manual_seed(3)
    first = drawn(generator=generator)
    assert torch.equal(first, one)
    assert not torch.equal(drawn(generator=generator), first)
    torch.manual_seed(3)
    drawn(seed=8)
    assert torch.equal(drawn(), one)  # a seed leaves the global generator alone


def test_a_seed_and_a_generator_are_one_too_many() -> None:
    with pytest.raises(InputError, match="Two sources of randomness"):
        ft.normal_(torch.empty(3), seed=1, generator=torch.Generator())


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
)
@pytest.mark.parametrize("contiguous", [True, False])
def test_numbers_are_those_of_sample(dtype: str, contiguous: bool) -> None:
    tensor = torch.zeros(8, 6).to(getattr(torch, dtype))
    tensor = tensor if contiguous else torch.zeros(6, 8).to(tensor.dtype).t()
    ft.he_normal_(tensor, seed=4, name="fc.weight")
    want = fanin.sample("he_normal", (8, 6), seed=4, name="fc.weight", dtype=dtype)
    size = tensor.element_size()
    assert tensor.contiguous().view(torch.uint8).numpy().tobytes() == want.view(f"u{size}").tobytes()


def test_parameters_are_filled_in_place_and_autograd_notices() -> None:
    weight = nn.Parameter(torch.ones(4, 4))
    loss = (weight**2).sum()
    pointer = weight.data_ptr()
    assert ft.xavier_normal_(weight, seed=0) is weight
    assert (weight.data_ptr(), weight.requires_grad, weight.grad_fn) == (pointer, True, None)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("name", [*RANDOM, "constant_", "ones_", "zeros_", "eye_", "he_uniform_"])
def test_meta_tensors_are_left_alone(name: str) -> None:
    tensor = torch.empty(4, 4, device="meta")
    more = {"sparse_": {"sparsity": 0.1}, "constant_": {"val": 2.0}}.get(name, {})
    state = torch.get_rng_state()
    assert getattr(ft, name)(tensor, **more) is tensor
    assert torch.equal(torch.get_rng_state(), state)


def test_fake_tensors_are_left_alone() -> None:
    with FakeTensorMode():
        weight = nn.Linear(4, 4).weight
        for name in ("normal_", "he_normal_", "orthogonal_", "kaiming_uniform_"):
            assert getattr(ft, name)(weight) is weight


class Wrapped(torch.Tensor):
    """A tensor that is not its own memory, as sharded tensors are."""

    @staticmethod
    def __new__(cls: type, inner: torch.Tensor) -> Any:
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError


def test_tensors_that_are_not_their_own_memory_are_refused() -> None:
    with pytest.raises(InputError, match="Received: a Wrapped"):
        ft.normal_(Wrapped(torch.zeros(3)))
    # One number in several places cannot be an identity; it can be a constant.
    one = torch.full((1, 3), 7.0)
    with pytest.raises(InputError, match="an expanded tensor"):
        ft.eye_(one.expand(3, 3))
    with pytest.raises(InputError, match="an expanded tensor"):
        ft.dirac_(one[..., None].expand(2, 3, 3))
    assert one.tolist() == [[7.0] * 3]
    assert ft.ones_(one.expand(3, 3)).tolist() == [[1.0] * 3] * 3
    for fill in (ft.zeros_, ft.ones_, lambda tensor: ft.constant_(tensor, 1.0)):
        with pytest.raises(InputError, match=r"no tensor to fill. Received: NoneType"):
            fill(None)


@pytest.mark.parametrize("name", ["normal_", "he_normal_", "orthogonal_", "kaiming_uniform_"])
@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.int8])
def test_types_that_hold_no_weights(name: str, dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match=f"cannot hold a drawn weight. Received: dtype {str(dtype)[6:]}"):
        getattr(ft, name)(torch.zeros(3, 3, dtype=dtype))


@pytest.mark.parametrize(
    "name", ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "orthogonal_"]
)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_vectors_have_no_fans(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        getattr(ft, name)(torch.empty(shape))


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_empty_tensors_warn_where_torch_warns(name: str) -> None:
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        assert getattr(ft, name)(torch.empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "xavier_normal_", "orthogonal_", "he_normal_"])
def test_empty_tensors_are_returned(name: str) -> None:
    assert getattr(ft, name)(torch.empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("name", ["eye_", "sparse_", "dirac_"])
@pytest.mark.parametrize("shape", [(3,), (3, 3, 3, 3, 3, 3)])
def test_dimensions_are_checked(name: str, shape: tuple[int, ...]) -> None:
    more = {"sparsity": 0.1} if name == "sparse_" else {}
    with pytest.raises(ValueError, match=r"Only tensors with .* dimensions are supported"):
        getattr(ft, name)(torch.empty(shape), **more)


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2)])
def test_eye(shape: tuple[int, ...]) -> None:
    assert torch.equal(ft.eye_(torch.empty(shape)), torch.eye(*shape))


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((4, 4, 3), 1), ((4, 6, 3, 3), 1), ((6, 4, 4, 2, 3), 1), ((6, 2, 3), 3), ((6, 4, 3), 3)],
)
def test_dirac_is_torchs(shape: tuple[int, ...], groups: int) -> None:
    want = nn.init.dirac_(torch.empty(shape), groups)
    assert torch.equal(ft.dirac_(torch.empty(shape), groups), want)
    with pytest.raises(ValueError, match="do not divide into the groups"):
        ft.dirac_(torch.empty(5, 2, 3), 2)


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (4, 2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_orthogonal(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    matrix = ft.orthogonal_(torch.empty(shape, dtype=dtype), gain=2.0, seed=2).flatten(1)
    short = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    assert torch.allclose(short, 4 * torch.eye(len(short), dtype=dtype), atol=1e-5)


@pytest.mark.parametrize(("rows", "sparsity"), [(100, 0.25), (11, 0.5), (10, 0.0), (10, 1.0)])
def test_sparse(rows: int, sparsity: float) -> None:
    tensor = ft.sparse_(torch.empty(rows, 60), sparsity, std=0.1, seed=3)
    zeros = math.ceil(rows * sparsity)
    assert (tensor == 0).sum(0).tolist() == [zeros] * 60
    if 0 < zeros < rows:
        assert len({tuple((tensor[:, i] == 0).tolist()) for i in range(60)}) > 1
    if rows == 100:
        law_holds(tensor[tensor != 0], stats.norm(0, 0.1).cdf)
    with pytest.raises(ValueError, match="is no share"):
        ft.sparse_(torch.empty(3, 3), 1.5)


@pytest.mark.parametrize(
    ("nonlinearity", "param"),
    [
        *[(n, None) for n in ("linear", "conv1d", "conv_transpose3d", "sigmoid", "tanh", "relu", "selu")],
        *[("leaky_relu", p) for p in (None, 0, 0.2, 3)],
    ],
)
def test_gains_are_torchs(nonlinearity: Any, param: float | None) -> None:
    assert ft.calculate_gain(nonlinearity, param) == nn.init.calculate_gain(nonlinearity, param)


@pytest.mark.parametrize(
    ("nonlinearity", "param"), [("leaky_relu", True), ("leaky_relu", "0.1"), ("Relu6", None)]
)
def test_gains_that_torch_refuses(nonlinearity: str, param: Any) -> None:
    with pytest.raises(ValueError, match=r"not a valid number|Unknown nonlinearity"):
        ft.calculate_gain(nonlinearity, param)


def test_unknown_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'fan_in'"):
        ft.kaiming_normal_(torch.empty(3, 3), mode="fanin")


def test_constants() -> None:
    assert ft.constant_(torch.empty(2, dtype=torch.int64), 3).tolist() == [3, 3]
    assert ft.ones_(nn.Parameter(torch.empty(2))).tolist() == [1.0, 1.0]
    assert ft.zeros_(torch.empty(2)).tolist() == [0.0, 0.0]
    assert ft.normal_(torch.empty(2), 1.5, 0.0).tolist() == [1.5, 1.5]
    assert ft.uniform_(torch.empty(2), 2, 2).tolist() == [2.0, 2.0]


def generated() -> list[tuple[str, dict[str, Any]]]:
    return [
        (entry.name, dict(example))
        for entry in registry.entries().values()
        if f"{entry.name}_" in named.functions()
        for example in entry.examples
    ]


def test_every_scheme_has_a_function() -> None:
    for name in registry.names():
        assert callable(getattr(ft, f"{name}_")), name
        assert f"{name}_" in dir(ft)


@pytest.mark.parametrize(("name", "arguments"), generated())
def test_generated_functions_follow_their_schemes(name: str, arguments: dict[str, Any]) -> None:
    scheme = registry.get(name, **arguments)
    # An identity is a matrix, not a kernel; a Fourier kernel has no channels beside its times.
    matrix = name in {"identity", "stft"}
    shape, axes = ((30, 52), "in out") if matrix else ((30, 52, 3), "in out receptive")
    tensor = getattr(ft, f"{name}_")(torch.empty(shape), **arguments, axes=axes, seed=9)
    want = fanin.sample(scheme, shape, seed=9, name="weight", axes=axes)
    assert np.array_equal(tensor.numpy(), want, equal_nan=True)
    draw = scheme.draw(shape, axes)
    if not draw.std > 0:
        return  # nothing varies, or nothing is a number
    # The standard error of a sample's variance is sqrt((kurtosis - 1) / n) of it; 6.1 of them is 1e-9.
    error = math.sqrt((moments.kurtosis(draw) - 1) / tensor.numel())
    assert abs(float(tensor.double().var()) / draw.std**2 - 1) < 6.1 * error


def test_generated_functions_are_documented() -> None:
    for name, function in named.functions().items():
        assert function.__name__ == name
        assert f"fanin.{name[:-1]}" in (function.__doc__ or "")
        assert next(iter(inspect.signature(function).parameters)) == "tensor"


def test_generated_functions_refuse_what_is_no_argument() -> None:
    with pytest.raises(TypeError, match=r"he_normal_\(\) got an unexpected keyword argument 'activaton'"):
        ft.he_normal_(torch.empty(3, 3), activaton="relu")
    with pytest.raises(InputError, match="no tensor to fill"):
        ft.he_normal_(np.empty((3, 3)))
    with pytest.raises(AttributeError, match="has no attribute 'he_norml_'"):
        ft.he_norml_(torch.empty(3, 3))


def test_outputs_of_a_real_layer_keep_power() -> None:
    layer = nn.Linear(1000, 500, bias=False)
    ft.he_normal_(layer.weight, seed=1)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((200, 1000))).float()
    power = float((layer(x).detach() ** 2).mean())
    # 100,000 outputs, correlated through 500,000 weights and 200,000 inputs: the shares add up.
    error = math.sqrt(2 / 1e5 + 2 / 5e5 + 2 / 2e5)
    assert abs(power / 2 - 1) < 6.1 * error
