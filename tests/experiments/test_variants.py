"""Ways to begin: read from words, given as values, and carried out on a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import fanin
import fanin.torch
from fanin.errors import InputError, UnknownNameError
from fanin.experiments.bench import begun, built, factories, fresh, planned
from fanin.experiments.data import Data
from fanin.experiments.grid import kinds
from fanin.experiments.parts import validated
from fanin.experiments.variants import named, variant
from fanin.plans import policies


@pytest.mark.parametrize(
    ("words", "name", "factor"),
    [
        ("he", "he", 1.0),
        ("he*1.5", "he*1.5", 1.5),
        (" glorot * 0.5 ", "glorot * 0.5", 0.5),
        ("auto+zero-out", "auto+zero-out", 1.0),
        ("normal(std=0.02)*2", "normal(std=0.02)*2", 2.0),
        ("keras:he_normal", "keras:he_normal", 1.0),
        ("own", "own", 1.0),
    ],
)
def test_words(words: str, name: str, factor: float) -> None:
    found = variant(words)
    assert (found.name, found.factor) == (name, factor)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("hee", "Did you mean 'he'"),
        ("he_norml", "Did you mean 'he_normal'"),
        ("keras:he_norml", "initializer of keras"),
        ("kerass:he_normal", "Unknown dialect"),
        ("he+zero-outt", "Unknown modifier"),
    ],
)
def test_unknown_words_name_the_nearest(words: str, told: str) -> None:
    with pytest.raises(UnknownNameError, match=told):
        variant(words)


@pytest.mark.parametrize("words", ["he*0", "he*-1", "he*x", "he*inf", "own*2"])
def test_a_factor_that_is_none(words: str) -> None:
    with pytest.raises(InputError, match=r"positive and finite|no plan to multiply"):
        variant(words)


def test_values_are_variants_too() -> None:
    def mine(model: nn.Module) -> None:
        for p in model.parameters():
            nn.init.zeros_(p)

    found = named({"a": fanin.he_uniform(), "b": policies.get("he"), "c": mine, "d": "own"})
    assert [one.name for one in found] == ["a", "b", "c", "d"]
    with pytest.raises(InputError, match="A variant is not understood"):
        variant(7)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="names of their own"):
        named(["he", "he"])
    with pytest.raises(InputError, match="nothing to compare"):
        named([])


def test_every_weight_gets_the_scheme(net: Callable[..., nn.Module], rings: Data) -> None:
    part = validated(rings)
    models = {}
    for words in ("he", "he_normal", "he_uniform", "he*1.5", "keras:he_uniform"):
        model = models[words] = built(net, seed=3)
        begun(model, variant(words), part, seed=3)
    weights = {words: model[2].weight.detach() for words, model in models.items()}  # type: ignore[index]
    assert torch.equal(weights["he"], weights["he_normal"])
    assert torch.equal(weights["he_uniform"], weights["keras:he_uniform"])
    # The factor is multiplied into the std before the draw: one rounding more or less.
    torch.testing.assert_close(weights["he*1.5"], 1.5 * weights["he"], rtol=1e-6, atol=0.0)
    assert all(float(model[2].bias.detach().abs().max()) == 0.0 for model in models.values())  # type: ignore[index]


def test_a_peer_is_told_the_roles(rings: Data) -> None:
    # 8 inputs, 3 outputs: read as Keras stores matrices, (in, out), torch's (out, in) would give fan_in 3.
    model = nn.Sequential(nn.Linear(8, 3))
    plan = planned(model, variant("keras:lecun_uniform"), validated(rings), seed=0)
    assert plan["0.weight"].std == pytest.approx(math.sqrt(1 / 8))


def test_a_plan_is_carried_out_with_the_seed_of_the_run(
    net: Callable[..., nn.Module], rings: Data, tmp_path: Path
) -> None:
    part = validated(rings)
    saved = fanin.torch.plan(net(), torch.tensor(part.x[:2]), policy="glorot").save(tmp_path / "p.json")
    one, other = built(net, seed=5), built(net, seed=5)
    begun(one, variant(str(saved)), part, seed=5)
    begun(other, variant("glorot"), part, seed=5)
    assert torch.equal(one[0].weight, other[0].weight)  # type: ignore[index]
    doubled = planned(one, variant(f"{saved}*2"), part, seed=5)
    assert doubled["0.weight"].std == pytest.approx(
        2 * planned(one, variant("glorot"), part, seed=5)["0.weight"].std
    )


def test_own_weights_follow_the_seed(net: Callable[..., nn.Module], rings: Data) -> None:
    models = [built(net, seed=seed) for seed in (1, 1, 2)]
    for model in models:
        assert begun(model, variant("own"), validated(rings), seed=0) is None
    a, b, c = (model[0].weight for model in models)  # type: ignore[index]
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_factories_that_are_none(net: Callable[..., nn.Module], rings: Data) -> None:
    part = validated(rings)
    model = net()
    with pytest.raises(InputError, match="a function that makes a model"):
        factories(model)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the same model each time"):
        fresh(lambda: model, part, 3)
    shared = nn.Linear(8, 3)
    with pytest.raises(InputError, match=r"the same model each time.*share 0\.weight"):
        fresh(lambda: nn.Sequential(shared), part, 3)
    with pytest.raises(InputError, match="makes none"):
        fresh(lambda: 7, part, 3)  # type: ignore[arg-type, return-value]
    with pytest.raises(InputError, match="ZeroDivisionError"):
        fresh(lambda: 1 // 0, part, 3)  # type: ignore[arg-type, return-value]


def test_models_that_do_not_fit_the_data(rings: Data) -> None:
    part = validated(rings)
    with pytest.raises(Exception, match="fails on the data"):
        fresh(lambda: nn.Linear(7, 3), part, 3)
    with pytest.raises(Exception, match="at least 3 columns"):
        fresh(lambda: nn.Linear(8, 2), part, 3)


def test_arms_are_every_combination() -> None:
    found = kinds(("plain", "bn"), named(("he", "glorot")), (1.0, 2.0))
    assert [kind.name for kind in found][:3] == ["plain/he*1", "plain/he*2", "plain/glorot*1"]
    assert len(found) == 8
    assert [kind.name for kind in kinds(("plain", "bn"), named(("he",)))] == ["plain", "bn"]
    with pytest.raises(InputError, match="nothing to compare"):
        kinds(("",), named(("he",)))
    with pytest.raises(InputError, match="too many arms"):
        kinds(("",), named(("he",)), [1.0 + k for k in range(201)])
