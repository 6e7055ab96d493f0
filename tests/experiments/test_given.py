"""Data that users give: understood, split with every class in each part, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fanin.errors import InputError, UnknownNameError
from fanin.experiments.data import Data
from fanin.experiments.given import given
from fanin.experiments.parts import folds, validated, whole

X = np.arange(80, dtype=np.float64).reshape(20, 4)
Y = np.arange(20) % 2


def test_forms_of_the_same_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    forms = [(X, Y), {"x": X, "y": Y}, (torch.tensor(X), torch.tensor(Y)), str(tmp_path / "d.npz")]
    found = [given(form) for form in forms]
    assert all(np.array_equal(found[0].train, one.train) for one in found)
    assert found[0].train.dtype == np.float32
    assert (len(found[0].train), len(found[0].test), found[0].classes) == (16, 4, 2)
    assert np.bincount(found[0].test_labels).tolist() == [2, 2]
    held = given((X[:16], Y[:16], X[16:], Y[16:]))
    assert np.array_equal(held.test, X[16:].astype(np.float32))
    assert given((Y[:, None], Y)).train.dtype == np.int64
    assert given(held) is held


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ((X, Y[:7]), "20 samples, 7 labels"),
        ((X, Y.astype(float)), "no classes"),
        ((X, Y - 1), "a label -1"),
        ((X, np.zeros(20, dtype=int)), "one class"),
        ((X, np.stack([Y, Y])), "no classes"),
        ((np.where(X == 3, np.nan, X), Y), "not finite"),
        ((np.array([["a"]]), Y), "no array of numbers"),
        ((X[:16], Y[:16], X[16:], Y[16:] + 5), "largest label 6"),
        ((X[:16], Y[:16], X[16:, :2], Y[16:]), "differ in shape"),
        ((X, Y, X), "no data"),
        ({"x": X}, "not understood"),
        ({"x": X, "y": Y, "z": Y}, "not understood"),
        (7, "no data"),
        ((np.empty((0, 4)), np.empty(0, dtype=int)), "0 samples"),
        ("no.npz", "cannot be read"),
        ((torch.tensor(X).to("meta"), Y), "no array"),
        ((torch.tensor(X).to_sparse(), Y), "no array"),
    ],
)
def test_what_is_no_data(data: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        given(data)  # type: ignore[arg-type]


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([{}], dtype=object), y=Y)
    with pytest.raises(InputError, match="cannot be read"):
        given(str(tmp_path / "d.npz"))


@pytest.mark.parametrize("held", [b"", b"PK\x03\x04 and no more", None])
def test_a_file_that_is_no_archive(held: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "d.npz"
    if held is None:
        np.save(tmp_path / "d.npy", X)
        (tmp_path / "d.npy").rename(file)
    else:
        file.write_bytes(held)
    with pytest.raises(InputError, match=r"cannot be read.*an \.npz file with x and y"):
        given(str(file))


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "d.npz", x=np.arange(4000.0).reshape(1000, 4), y=np.arange(1000) % 2)
    whole = bytearray((tmp_path / "d.npz").read_bytes())
    whole[200:400] = bytes(200)  # the archive's directory is whole, what it holds is not
    (tmp_path / "d.npz").write_bytes(whole)
    with pytest.raises(InputError, match="cannot be read"):
        given(str(tmp_path / "d.npz"))


def test_narrow_floats_are_widened() -> None:
    narrow = given((torch.tensor(X).bfloat16(), Y))
    assert narrow.train.dtype == np.float32
    np.testing.assert_array_equal(narrow.train, given((torch.tensor(X).bfloat16().float(), Y)).train)


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        given("digit")


def test_parts_share_no_sample_and_have_every_class(rings: Data) -> None:
    part = validated(rings)
    rows = [{row.tobytes() for row in some} for some in (part.x, part.watched, part.held)]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 360
    assert len(part.x) + len(part.watched) == 270
    assert len(part.held) == 90
    assert set(part.watched_labels.tolist()) == {0, 1, 2}
    again = validated(rings)
    assert np.array_equal(part.x, again.x)


def test_folds_watch_every_training_sample_once_and_never_a_test_sample(rings: Data) -> None:
    cut = folds(rings, 5)
    tests = {row.tobytes() for row in rings.test}
    watched = [row.tobytes() for part in cut for row in part.watched]
    assert len(watched) == len(set(watched)) == 270
    for part in cut:
        assert len(part.held) == 0
        assert not tests & {row.tobytes() for row in (*part.x, *part.watched)}
        assert np.bincount(part.watched_labels).min() >= 17
    assert len(whole(rings).x) == 270
    assert len(whole(rings).watched) == 0


@pytest.mark.parametrize("count", [1, 0, 91, 1000])
def test_folds_that_cannot_be_made(rings: Data, count: int) -> None:
    with pytest.raises(InputError, match=f"{count} folds"):
        folds(rings, count)


def test_a_class_with_one_sample_has_no_validation_split() -> None:
    x = np.zeros((9, 2), dtype=np.float32)
    data = given((x, np.array([0, 0, 0, 0, 1, 1, 1, 1, 2]), x, np.zeros(9, dtype=int)))
    with pytest.raises(InputError, match="too few samples"):
        validated(data)
