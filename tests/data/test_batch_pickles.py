"""Pickled batches that are not trusted: refused in one line, quickly, and without memory."""

import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.data import batch_pickles
from bench.data.batch_pickles import StoredArray, unpickle

DOUBLED = b"N" + b"2\x86" * 60  # DUP, TUPLE2: a tuple of 2^60 leaves in 121 bytes
DOUBLED_BY_MEMO = b"N" + b"".join(b"q\x00h\x00\x86" for _ in range(60))
NESTED = b")" + b"\x85" * 10_000
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(NNNtR"

HOSTILE = {
    "key with 2^60 leaves": b"\x80\x02}" + DOUBLED_BY_MEMO + b"Ns.",
    "DUP": b"\x80\x02}" + DOUBLED + b"Ns.",
    "nested key": b"\x80\x02}" + NESTED + b"Ns.",
    "nested key in MARK DICT": b"\x80\x02(" + NESTED + b"Nd.",
    "set of nested tuples": b"\x80\x04\x8f(" + NESTED + b"\x90.",
    "frozenset of nested tuples": b"\x80\x04(" + NESTED + b"\x91.",
    "declared bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
    "declared bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
    "declared text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b".",
    "declared frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b".",
    "bytes encoded again and again": b"\x80\x02X\x10\x27\x00\x00"
    + b"a" * 10_000
    + b"q\x000c_codecs\nencode\nq\x010"
    + b"h\x01h\x00N\x86R" * 5_000
    + b".",
    "state of a list": b"\x80\x02]Nb.",
    "entry of a list": b"\x80\x02]K\x01Ns.",
    "persistent id": b"\x80\x02K\x01Q.",
    "extension": b"\x80\x02\x82\x01.",
    "instance": b"(i__main__\nC\n.",
    "label of a gigabyte": b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b".",
    "call of a text": b"\x80\x02X\x01\x00\x00\x00a)R.",
    "type that is no text": b"\x80\x02cnumpy\ndtype\nN\x85R.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_at_once(name: str) -> None:
    tracemalloc.start()
    begun = time.perf_counter()
    try:
        with pytest.raises(UserError, match=r"^batch: not a whole pickle of a CIFAR-10 batch") as e:
            unpickle(HOSTILE[name], "batch")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(e.value)
    assert time.perf_counter() - begun < 5
    assert peak < 10e6


@pytest.mark.parametrize("index", [b"r\xff\xff\xff\x7f", b"p2147483647\n"])
def test_a_large_index_of_the_memo_costs_nothing(index: bytes) -> None:
    tracemalloc.start()
    assert unpickle(b"\x80\x02N" + index + b".", "batch") is None
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_values_that_are_nested_deeply_are_dropped_safely() -> None:
    assert isinstance(unpickle(b"\x80\x02" + NESTED * 20 + b".", "batch"), tuple)


def test_the_number_of_opcodes_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_pickles, "MAX_OPCODES", 1000)
    assert unpickle(b"\x80\x02" + b"N0" * 498 + b"N.", "batch") is None
    with pytest.raises(UserError, match="more than 1,000 opcodes"):
        unpickle(b"\x80\x02" + b"N0" * 500 + b"N.", "batch")


def test_a_pickle_of_python_2_is_read() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 6)
    content = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
        b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02K\x06\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01"
        b"\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", pixels.size)
        + pixels.tobytes()
        + b"tbU\x06labelsq\x08]q\t(K\x06K\x09eu."
    )
    found = unpickle(content, "batch")
    assert isinstance(found, dict)
    assert found[b"labels"] == [6, 9]
    np.testing.assert_array_equal(found[b"data"].pixels(), pixels)


@pytest.mark.parametrize(
    "state",
    [
        (1, (1 << 40, 3072), np.dtype("u1"), False, b"x"),
        (1, (2, -1), np.dtype("u1"), False, b"xx"),
        (1, 3, np.dtype("u1"), False, b"xxx"),
        (1, (2,), np.dtype("u1"), False, [1, 2]),
    ],
)
def test_arrays_are_as_large_as_their_bytes(state: tuple[object, ...]) -> None:
    content = b"\x80\x02" + ARRAY + pickle.dumps(state, 2)[2:-1] + b"b."
    found = unpickle(content, "batch")
    assert isinstance(found, StoredArray)
    with pytest.raises(ValueError, match=r"shape|reshape|bytes"):
        found.pixels()


def test_an_array_of_objects_is_not_made() -> None:
    found = unpickle(pickle.dumps(np.array([None] * 3), 2), "batch")
    assert isinstance(found, StoredArray)
    assert found.pixels() is None
