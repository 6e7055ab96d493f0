"""What peers really draw, against what our dialects say that they draw."""

from __future__ import annotations

import inspect
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import draw_checks as stats
import fanin
from fanin.errors import InputError, UnknownNameError
from fanin.laws import moments
from fanin.records.draw import Constant, Draw, Normal, TruncatedNormal, Uniform
from fanin.schemes.base import Fixed
from fanin.schemes.dialects.dialect import dialects
from fanin.schemes.dialects.law import Made

torch = pytest.importorskip("torch")

ELEMENTWISE = (Constant, Uniform, Normal, TruncatedNormal)
SHAPES = {
    "dense": (256, 192),
    "conv": (3, 5, 32, 96),
    "oihw": (96, 32, 3, 5),
    "stack": (12, 64, 48),
}


def check(values: Any, draw: Draw) -> None:
    """A peer's float32 samples have the mean, variance, bounds and family of a draw."""
    wide = np.asarray(values, np.float64)
    # Peers round to float32 more than once: each product and sum by half a unit, some bounds by one more.
    slack = 4.0 * stats.half_ulps(wide, 2.0**-23, 2.0**-149) + 2.0**-23 * abs(draw.mean)
    stats.check_bounds(wide, draw, slack)
    stats.check_mean(wide, draw, slack)
    stats.check_variance(wide, draw, slack)
    if isinstance(draw, ELEMENTWISE):
        stats.check_family(wide, draw)


def cases(name: str, *, without: tuple[str, ...] = ()) -> list[Any]:
    """Every function of a dialect that the peer has, with its examples and every shape."""
    return [
        pytest.param(function, example, shape, id="-".join([function, *map(str, example.values()), where]))
        for function, one in fanin.dialect(name).functions.items()
        if not function.startswith("default_") and function not in without
        for example in one.examples
        for where, shape in SHAPES.items()
        if len(shape) > 2 or "in_axis" not in example  # three axes are named
    ]


def law(name: str, function: str, example: dict[str, Any], shape: tuple[int, ...]) -> Draw:
    """Our draw for a peer's call."""
    return fanin.dialect(name).get(function, **example).draw(shape)


@pytest.mark.parametrize(
    ("function", "example", "shape"), cases("torch", without=("eye", "dirac", "sparse", "constant"))
)
def test_torch(function: str, example: dict[str, Any], shape: tuple[int, ...]) -> None:
    weight = torch.empty(shape)
    generator = torch.Generator().manual_seed(3)
    call = getattr(torch.nn.init, f"{function}_")
    extra = {"generator": generator} if "generator" in inspect.signature(call).parameters else {}
    call(weight, **example, **extra)
    draw = law("torch", function, example, shape)
    check(weight.numpy(), draw)


@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (9, 5)])
def test_torch_eye_is_ours(shape: tuple[int, int]) -> None:
    ours = fanin.sample(fanin.dialect("torch").eye(), shape, seed=0, name="w")
    np.testing.assert_array_equal(ours, torch.nn.init.eye_(torch.empty(shape)).numpy())


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("shape", [(8, 4, 3), (12, 8, 4, 3), (4, 2, 3, 3, 2)])
def test_torch_dirac_is_ours(shape: tuple[int, ...], groups: int) -> None:
    ours = fanin.sample(fanin.dialect("torch").dirac_(groups), shape, seed=0, name="w")
    np.testing.assert_array_equal(ours, torch.nn.init.dirac_(torch.empty(shape), groups).numpy())


@pytest.mark.parametrize("sparsity", [0.1, 0.75])
def test_torch_sparse_has_our_zeros(sparsity: float) -> None:
    peer = torch.nn.init.sparse_(torch.empty(40, 30), sparsity).numpy()
    ours = fanin.sample(fanin.dialect("torch").sparse(sparsity), (40, 30), seed=0, name="w")
    zeros = (ours == 0).sum(axis=0)
    np.testing.assert_array_equal(zeros, (peer == 0).sum(axis=0))
    # What the peer does not give: the same places for the same seed.
    np.testing.assert_array_equal(
        ours, fanin.sample(fanin.dialect("torch").sparse(sparsity), (40, 30), seed=0, name="w")
    )


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: torch.nn.Linear(256, 384), None),
        (lambda: torch.nn.Conv2d(64, 96, 3, groups=4), None),
        (lambda: torch.nn.ConvTranspose2d(96, 64, 3), None),
    ],
)
def test_torch_layers_set_the_default(layer: Any, shape: None) -> None:  # noqa: ARG001
    torch.manual_seed(5)
    weight = layer().weight.detach().numpy()
    check(weight, fanin.dialect("torch").default_weight().draw(weight.shape))


def test_torch_recurrent_default() -> None:
    torch.manual_seed(5)
    cell = torch.nn.LSTM(128, 256)
    draw = fanin.dialect("torch").default_recurrent(256).draw(())
    for parameter in cell.parameters():
        check(parameter.detach().numpy(), draw)


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        return pytest.importorskip("keras")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("function", "example", "shape"), cases("keras", without=("identity",)))
def test_keras(keras: ModuleType, function: str, example: dict[str, Any], shape: tuple[int, ...]) -> None:
    peer = getattr(keras.initializers, "".join(word.title() for word in function.split("_")))
    seed = {"seed": 3} if "seed" in inspect.signature(peer).parameters else {}
    draw = law("keras", function, example, shape)
    check(keras.ops.convert_to_numpy(peer(**example, **seed)(shape, "float32")), draw)


@pytest.mark.filterwarnings("default")
def test_keras_counts_vectors_and_scalars(keras: ModuleType) -> None:
    draw = fanin.dialect("keras").VarianceScaling(2.0, "fan_avg", "uniform").draw((40_000,))
    check(
        keras.ops.convert_to_numpy(
            keras.initializers.VarianceScaling(2.0, "fan_avg", "uniform", seed=1)((40_000,), "float32")
        ),
        draw,
    )
    assert fanin.dialect("keras").lecun_normal().draw(()).std == 1.0


@pytest.mark.parametrize(
    ("function", "example", "shape"), cases("jax", without=("constant", "zeros", "ones", "delta_orthogonal"))
)
def test_jax(function: str, example: dict[str, Any], shape: tuple[int, ...]) -> None:
    jax = pytest.importorskip("jax")
    draw = law("jax", function, example, shape)
    make = getattr(jax.nn.initializers, function)
    check(make(**example)(jax.random.key(3), shape, "float32"), draw)


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 96), ("fan_out", 96), ("fan_avg", 96)])
def test_jax_divides_a_dimension_that_is_named_twice_out_twice(mode: str, fan: int) -> None:
    """Embeddings in Flax say out_axis=0, which of two dimensions is in_axis=-2 too."""
    jax = pytest.importorskip("jax")
    draw = fanin.dialect("jax").variance_scaling(1.0, mode, "normal", out_axis=0).draw((512, 96))
    assert draw == Normal(std=math.sqrt(1.0 / fan))
    make = jax.nn.initializers.variance_scaling(1.0, mode, "normal", out_axis=0)
    check(make(jax.random.key(3), (512, 96), "float32"), draw)


def test_jax_delta_orthogonal_is_ours_in_law() -> None:
    jax = pytest.importorskip("jax")
    draw = fanin.dialect("jax").delta_orthogonal(1.5).draw((3, 3, 64, 128))
    peer = np.asarray(jax.nn.initializers.delta_orthogonal(1.5)(jax.random.key(1), (3, 3, 64, 128)), float)
    stats.check_variance(peer, draw, np.zeros(1))
    assert np.count_nonzero(np.abs(peer).sum(axis=(2, 3))) == 1


def haiku_name(function: str) -> str:
    return "".join(word.title() for word in function.split("_"))


@pytest.mark.parametrize(
    ("function", "example", "shape"), cases("haiku", without=("zeros", "ones", "identity"))
)
def test_haiku(function: str, example: dict[str, Any], shape: tuple[int, ...]) -> None:
    haiku, jax = pytest.importorskip("haiku"), pytest.importorskip("jax")
    init = getattr(haiku.initializers, haiku_name(function))(**example)
    made = haiku.transform(lambda: init(shape, "float32")).apply({}, jax.random.PRNGKey(3))
    check(made, law("haiku", function, example, shape))


@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (3, 4, 4), (2, 3, 5, 4)])
def test_haiku_identity_is_ours(shape: tuple[int, ...]) -> None:
    haiku = pytest.importorskip("haiku")
    ours = fanin.sample(fanin.dialect("haiku").Identity(1.5), shape, seed=0, name="w")
    np.testing.assert_array_equal(ours, np.asarray(haiku.initializers.Identity(1.5)(shape, "float32")))


@pytest.mark.parametrize("layer", ["Linear", "Conv2D", "Conv2DTranspose"])
def test_haiku_layers_set_the_default(layer: str) -> None:
    """A transposed kernel (k, k, out, in) gets the std that the layer works out."""
    haiku, jax = pytest.importorskip("haiku"), pytest.importorskip("jax")
    x = np.zeros((1, 96) if layer == "Linear" else (1, 8, 8, 96), "float32")
    parts = () if layer == "Linear" else (3,)

    def run(inputs: Any) -> Any:
        return getattr(haiku, layer)(256, *parts)(inputs)

    parameters = haiku.transform(run).init(jax.random.PRNGKey(0), x)
    (weight,) = (one["w"] for one in parameters.values())
    fan_in = 96 * (1 if layer == "Linear" else 9)
    draw = fanin.dialect("haiku").TruncatedNormal(1 / math.sqrt(fan_in)).draw(weight.shape)
    check(weight, draw)
    if layer != "Conv2DTranspose":
        # The same law, up to the last bit of a root.
        default = fanin.dialect("haiku").default_weight().draw(weight.shape)
        assert default.std == pytest.approx(draw.std, rel=1e-12)


@pytest.mark.parametrize("name", dialects())
def test_our_samples_have_the_peers_law(name: str) -> None:
    """In the peer's own layout: the engine draws what the law says."""
    one = fanin.dialect(name)
    for function in one.names():
        for example in one.functions[function].examples:
            scheme = one.get(function, **example)
            for shape in (SHAPES["dense"], SHAPES["conv"]):
                if len(shape) == 2 and "in_axis" in example:
                    continue
                if isinstance(scheme.rule, Made) and not isinstance(scheme.rule.scheme, Fixed):
                    continue  # structured: the registry's own conformance tests
                check(fanin.sample(scheme, shape, seed=2, name=function), scheme.draw(shape))


def test_orthogonal_lies_as_the_peer_stores_it() -> None:
    kernel = fanin.sample("keras:orthogonal", (3, 3, 16, 24), seed=1, name="w").reshape(-1, 24)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(24), atol=1e-5)
    kernel = fanin.sample("torch:orthogonal", (24, 16, 3, 3), seed=1, name="w").reshape(24, -1)
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(24), atol=1e-5)


def test_one_connection_has_one_number_in_every_layout() -> None:
    of_torch = fanin.sample("torch:orthogonal", (24, 16, 3, 3), seed=1, name="w")
    of_keras = fanin.sample("keras:orthogonal", (3, 3, 16, 24), seed=1, name="w")
    np.testing.assert_array_equal(of_torch.transpose(2, 3, 1, 0), of_keras)


class TestTheChecksCanFail:
    """Each pair has one name and two laws."""

    @pytest.mark.parametrize(
        ("ours", "peer", "text"),
        [
            (("keras", "he_normal"), ("torch", "kaiming_normal"), "outside"),
            (("jax", "truncated_normal"), ("torch", "trunc_normal"), "outside"),
            (("mlx", "he_normal"), ("torch", "kaiming_normal"), "std is"),
            (("haiku", "default_weight"), ("timm", "lecun_normal"), "outside"),
            (("torch", "xavier_uniform"), ("tinygrad", "glorot_uniform"), "outside"),
            (("mxnet", "uniform"), ("chainer", "uniform"), "std is"),
            (("jax", "uniform"), ("keras", "random_uniform"), "outside"),
        ],
    )
    def test_another_systems_law_is_seen(
        self, ours: tuple[str, str], peer: tuple[str, str], text: str
    ) -> None:
        shape = (96, 64, 3, 5) if ours[0] != "jax" else (384, 256)
        weight = fanin.sample(":".join(peer), shape, seed=4, name="w")
        with pytest.raises(AssertionError, match=text):
            check(weight, fanin.dialect(ours[0]).get(ours[1]).draw(shape))


class TestFactsOfPeers:
    """Numbers of the catalogue, from the laws."""

    def test_contribs_correction_is_not_quite_one(self) -> None:
        """Factor 1.3 where the cut takes 1 / 1.2925: 0.6 % too much variance."""
        ratio = fanin.dialect("tf1-contrib").variance_scaling_initializer().draw((128, 8)).std ** 2 * 128 / 2
        assert ratio == pytest.approx(1.3 * moments.cut_moments(-2.0, 2.0).variance, rel=1e-12)
        assert 1.005 < ratio < 1.007

    def test_mxnets_gaussian_has_three_times_glorots_variance(self) -> None:
        draws = [
            fanin.dialect("mxnet").Xavier(rnd_type=kind).draw((96, 64)) for kind in ("uniform", "gaussian")
        ]
        assert draws[1].std / draws[0].std == pytest.approx(math.sqrt(3.0))
        assert draws[0].std == pytest.approx(fanin.glorot_uniform().draw((96, 64)).std)

    def test_deeplearning4js_lecun_uniform_is_root_three_too_wide(self) -> None:
        draw = fanin.dialect("dl4j").lecun_uniform().draw((64, 96))
        assert draw.std / fanin.lecun_uniform().draw((64, 96), "in out").std == pytest.approx(math.sqrt(3.0))

    def test_lasagnes_he_takes_the_fan_that_its_layout_has(self) -> None:
        he = fanin.dialect("lasagne").HeNormal("relu")
        assert he.draw((64, 96)).std == pytest.approx(math.sqrt(2 / 64))
        assert he.draw((96, 64, 3, 3)).std == pytest.approx(math.sqrt(2 / 576))

    def test_tinygrad_forgets_the_kernel_in_fan_out(self) -> None:
        draw = fanin.dialect("tinygrad").glorot_uniform().draw((32, 16, 3, 3))
        assert draw == Uniform(low=-math.sqrt(6 / 176), high=math.sqrt(6 / 176))

    def test_msraprelu(self) -> None:
        draw = fanin.dialect("mxnet").MSRAPrelu().draw((96, 64))
        assert draw.std == pytest.approx(math.sqrt(2 / (1 + 0.0625) / 80))


class TestNames:
    def test_class_names_and_underscores(self) -> None:
        assert fanin.dialect("keras").HeNormal() == fanin.dialect("tf2").he_normal()
        assert fanin.dialect("torch").kaiming_uniform_(a=1.0) == fanin.dialect("torch").kaiming_uniform(1.0)
        assert fanin.dialect("mxnet").MSRAPrelu() == fanin.dialect("mxnet").msraprelu()

    def test_a_scheme_by_one_string(self) -> None:
        scheme = fanin.dialect("jax").he_normal()
        np.testing.assert_array_equal(
            fanin.sample("jax:he_normal", (6, 4), seed=1, name="w"),
            fanin.sample(scheme, (6, 4), seed=1, name="w"),
        )
        assert repr(scheme) == "<jax:he_normal: Var[w] = 2 / fan_in, truncated normal>"
        assert isinstance(scheme, fanin.Scheme)

    @pytest.mark.parametrize("name", dialects())
    def test_every_dialect_says_what_it_has(self, name: str) -> None:
        one = fanin.dialect(name)
        assert one.names()
        assert set(one.names()) <= set(dir(one))
        assert one.source in repr(one)
        for function in one.names():
            for example in one.functions[function].examples:
                scheme = getattr(one, function)(**example)
                assert scheme.name == f"{name}:{function}"
                assert "\n" not in scheme.law
                assert hash(scheme) == hash(one.get(function, **example))

    def test_aliases_are_one_dialect(self) -> None:
        taken = [word for one in dialects().values() for word in (one.name, *one.aliases)]
        assert len(taken) == len(set(taken))
        assert fanin.dialect("tf.contrib") is fanin.dialect("tf1-contrib")

    def test_unknown_names_suggest_the_nearest(self) -> None:
        with pytest.raises(UnknownNameError, match=r"Unknown dialect\. Received: 'pytorsh'"):
            fanin.dialect("pytorsh")
        with pytest.raises(UnknownNameError, match=r"Unknown initializer of keras.*mean 'he_normal'"):
            fanin.dialect("keras").get("he_norml")
        with pytest.raises(AttributeError, match="Did you mean 'kaiming_normal'"):
            fanin.dialect("torch").kaiming_norml  # noqa: B018
        assert not hasattr(fanin.dialect("torch"), "_nothing")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: fanin.dialect("keras").he_normal(gain=2.0),
            r"Parameters do not fit keras:he_normal\. Received: gain=2",
        ),
        (lambda: fanin.dialect("keras").variance_scaling(scale=0.0), r"0\.0 / fan_in\. Use zeros\(\)"),
        (lambda: fanin.dialect("jax").variance_scaling(-1.0, "fan_in", "normal"), "positive and finite"),
        (lambda: fanin.dialect("timm").variance_scaling(mode="fan_inn"), "Unknown mode.*mean 'fan_in'"),
        (lambda: fanin.dialect("jax").variance_scaling(1.0, "fan_in", "gauss"), "Unknown distribution"),
        (
            lambda: fanin.dialect("torch").kaiming_normal(nonlinearity="gelu"),
            "nonlinearity of the torch table",
        ),
        (lambda: fanin.dialect("torch").xavier_normal().draw((7,)), r"has no fans for this shape.*\(7,\)"),
        (lambda: fanin.dialect("torch").xavier_normal().draw((0, 0)), "divides by a fan of zero"),
        (lambda: fanin.dialect("torch").uniform(1.0, 1.0), "hold no interval"),
        (lambda: fanin.dialect("torch").normal(std=0.0), "not positive and finite"),
        (lambda: fanin.dialect("mxnet").xavier(factor_type="mean"), "Unknown factor_type"),
        (lambda: fanin.dialect("mxnet").xavier(rnd_type="normal"), "Unknown rnd_type"),
        (lambda: fanin.dialect("tf1-contrib").variance_scaling_initializer(mode="fan_in"), "Unknown mode"),
        (lambda: fanin.dialect("jax").orthogonal(column_axis=1), "first or the last dimension"),
        (lambda: fanin.dialect("torch").kaiming_normal(a="0.1"), "slope='0.1'"),
        (lambda: fanin.dialect("torch").normal(std="1"), "std=1"),
        (lambda: fanin.dialect("keras").variance_scaling(scale=True), "True / fan_in"),
        (lambda: fanin.dialect("mxnet").uniform(scale=math.nan), "hold no interval"),
    ],
)
def test_bad_input(call: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()


WORDS = {
    "mode", "distribution", "nonlinearity", "rnd_type", "factor_type", "fan_option", "in_axis", "out_axis",
    "batch_axis", "fan_in_axes", "axis", "column_axis", "uniform",
}  # fmt: skip
"""Parameters that are no numbers."""


@pytest.mark.parametrize("name", dialects())
@pytest.mark.parametrize("value", ["x", math.nan, 1j, [1.0], b"1"], ids=repr)
def test_what_is_no_number_is_refused_by_every_function(name: str, value: object) -> None:
    for function, one in fanin.dialect(name).functions.items():
        for parameter in set(inspect.signature(one.make).parameters) - WORDS:
            given = {**one.examples[0], parameter: value}
            if parameter in {"a", "negative_slope"} and function.startswith("kaiming"):
                given["nonlinearity"] = "leaky_relu"
            with pytest.raises(InputError):
                fanin.dialect(name).get(function, **given).draw((6, 4))
