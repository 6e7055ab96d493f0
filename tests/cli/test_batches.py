"""The batch: made up from sizes, or by the user's function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from fanin.cli.batches import make
from fanin.cli.targets import load
from fanin.errors import InputError, TargetError

pytestmark = pytest.mark.usefixtures("nets")


def test_floats_are_standard_normal_and_always_the_same() -> None:
    a, b = (make(nn.Linear(3, 2), ["1000x3"], None).inputs[0] for _ in range(2))
    assert torch.equal(a, b)
    # 3000 draws: |mean| below 6.5 / sqrt(3000), false alarm 1e-10.
    assert abs(float(a.mean())) < 6.5 / 3000**0.5
    assert float(a.std()) == pytest.approx(1.0, abs=6.5 / 6000**0.5)


def test_ids_stay_within_the_vocabulary() -> None:
    ids = make(nn.Embedding(7, 2), ["100x5:int64"], None).inputs[0]
    assert ids.dtype == torch.int64
    assert set(ids.unique().tolist()) == set(range(7))
    assert set(make(nn.Linear(1, 1), ["100:int64"], None).inputs[0].unique().tolist()) == {0, 1}


def test_names_make_a_mapping() -> None:
    batch = make(
        nn.Embedding(7, 2),
        ["input_ids=2x5:int64", "attention_mask=2x5:int64", "token_type_ids=2x5:int64"],
        None,
    )
    (mapping,) = batch.inputs
    assert list(mapping) == ["input_ids", "attention_mask", "token_type_ids"]
    assert bool((mapping["attention_mask"] == 1).all())
    assert bool((mapping["token_type_ids"] == 0).all())


@pytest.mark.parametrize(
    ("specs", "text"),
    [
        (["8xx3"], "An --input is not understood. Received: '8xx3'"),
        (["x"], "An --input is not understood"),
        (["-1x3"], "An --input is not understood"),
        (["8x3:float23"], "Unknown dtype of an --input. Received: 'float23'"),
        (["9999999x9999999"], "An --input is too large"),
        (["a=2x3", "2x3"], "Inputs are given by name and by position"),
        ([], "Nothing says what the model takes"),
    ],
)
def test_sizes_that_are_none(specs: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text.replace("(", r"\(")):
        make(nn.Linear(3, 2), specs, None)


@pytest.mark.parametrize(
    ("model", "function", "inputs", "target"),
    [
        ("small", "batch", 1, False),
        ("small", "pair", 1, True),
        ("Two", "two_inputs", 2, False),
        ("Words", "mapping", 1, False),
    ],
)
def test_what_a_function_may_return(nets: str, model: str, function: str, inputs: int, target: bool) -> None:
    batch = make(load(f"{nets}:{model}", seed=0), [], f"{nets}:{function}")
    assert len(batch.inputs) == inputs
    assert (batch.target is not None) is target


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (
            "bad_batch",
            TargetError,
            "--batch 'nets.py:bad_batch' raises an error. Received: KeyError: 'train'",
        ),
        ("number", InputError, "--batch 'nets.py:number' returns no batch. Received: int"),
        ("WIDTH", TargetError, "--batch names no function. Received: int"),
        ("nothing", TargetError, "--batch 'nets.py:nothing': Unknown name in nets.py"),
    ],
)
def test_a_function_that_does_not_serve(nets: str, function: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        make(nn.Linear(4, 2), [], f"{nets}:{function}")
    assert str(raised.value).startswith(text)


def test_input_and_batch_exclude_each_other(fanin: Callable[..., Any]) -> None:
    ended = fanin("plan", "nets.py:small", "-i", "2x4", "-b", "nets.py:batch")
    assert (ended.code, ended.err) == (
        2,
        "error: --input and --batch exclude each other. Give one of them.\n",
    )
