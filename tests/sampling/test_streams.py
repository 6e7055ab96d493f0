"""Keys: what they depend on, what they refuse, and Philox's known answers."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from fanin.errors import InputError
from fanin.sampling.philox import philox, words
from fanin.sampling.streams import StreamKey, stream_key

VECTORS = Path(__file__).resolve().parents[2] / "vectors"


def read(name: str) -> list[dict[str, str]]:
    with (VECTORS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", read("philox4x32_10.csv"))
def test_philox_known_answers(row: dict[str, str]) -> None:
    counter = tuple(np.array([int(row[f"counter{k}"], 16)], np.uint64) for k in range(4))
    out = philox(counter, (int(row["key0"], 16), int(row["key1"], 16)))
    assert [int(word[0]) for word in out] == [int(row[f"word{k}"], 16) for k in range(4)]


@pytest.mark.parametrize("row", read("keys.csv"))
def test_golden_keys(row: dict[str, str]) -> None:
    key = stream_key(int(row["seed"]), tuple(row["name"].split("|")), row["role"])
    assert key.words == tuple(int(row[f]) for f in ("key0", "key1", "counter2", "counter3"))


def test_a_key_is_the_hash_that_the_spec_spells_out() -> None:
    message = b"fanin stream" + bytes.fromhex("01000000 0500000000000000 02000000")
    message += b"\x02\0\0\0ab" + b"\x03\0\0\0\xce\xbbc" + b"\x06\0\0\0weight"
    digest = hashlib.blake2b(message, digest_size=16).digest()
    expected = tuple(int.from_bytes(digest[4 * k : 4 * k + 4], "little") for k in range(4))
    assert stream_key(5, ("ab", "λc")).words == expected


def test_every_part_of_the_identity_counts() -> None:
    keys = {
        stream_key(0, "ab"),
        stream_key(1, "ab"),
        stream_key(1 << 63, "ab"),
        stream_key(0, ("a", "b")),
        stream_key(0, "a"),
        stream_key(0, "ab", "mask"),
    }
    assert len(keys) == 6
    assert stream_key(0, "ab") == stream_key(np.int64(0), ("ab",))


@pytest.mark.parametrize("seed", [-1, 1 << 64, 1.0, "0", True, None])
def test_bad_seeds(seed: object) -> None:
    with pytest.raises(InputError, match=r"The seed is out of range\. Received: .*\[0, 2\*\*64\)"):
        stream_key(seed, "w")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", (), ("a", ""), ("a", 1), 3, None, ["a"], b"w"])
def test_bad_names(name: object) -> None:
    with pytest.raises(InputError, match=r"The name of a stream is no text\. Received: "):
        stream_key(0, name)  # type: ignore[arg-type]


def test_a_lone_surrogate_is_no_text() -> None:
    with pytest.raises(InputError, match=r"The name of a stream cannot be encoded.*\\ud800"):
        stream_key(0, "\ud800")


def test_words_of_any_range() -> None:
    key = StreamKey(key0=9, key1=8, counter2=7, counter3=6)
    whole = words(key, 0, 64)
    for begin in range(9):
        for end in range(begin, 64, 7):
            assert (words(key, begin, end) == whole[begin:end]).all()
    assert words(key, 5, 5).size == 0


def test_far_blocks_use_both_counter_words() -> None:
    key = StreamKey(key0=9, key1=8, counter2=7, counter3=6)
    far = (1 << 34) + 1  # block 2**32
    counter = tuple(np.array([k], np.uint64) for k in (0, 1, 7, 6))
    assert int(words(key, far, far + 1)[0]) == int(philox(counter, (9, 8))[1][0])
    top = (1 << 64) - 1
    counter = tuple(np.array([k], np.uint64) for k in (0xFFFFFFFF, 0x3FFFFFFF, 7, 6))
    assert int(words(key, top, top + 1)[0]) == int(philox(counter, (9, 8))[3][0])


def test_second_words_complement_the_highest_counter_word() -> None:
    key = StreamKey(key0=9, key1=8, counter2=7, counter3=6)
    other = StreamKey(key0=9, key1=8, counter2=7, counter3=6 ^ 0xFFFFFFFF)
    assert (words(key, 3, 50, second=True) == words(other, 3, 50)).all()
