"""The hashes that route lines, against other implementations of them, at every length."""

from __future__ import annotations

import hashlib
import os
import random

import pytest
import xxhash

from datapath import split

RANDOM = random.Random(20_240_601)
KEYS = [RANDOM.randbytes(length) for length in range(2001)]


@pytest.mark.parametrize("lanes", [None, 1, 4, 8, 16])
def test_md5_of_every_length(lanes: int | None) -> None:
    try:
        first = split.md5_first(KEYS, lanes)
    except ValueError as why:
        pytest.skip(str(why))
    assert first == [int(hashlib.md5(key).hexdigest()[:8], 16) for key in KEYS]


def test_a_number_of_lanes_that_no_machine_has_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hash in 3 lanes"):
        split.md5_first(KEYS, 3)


def test_xxh3_of_every_length() -> None:
    assert split.xxh3_64(KEYS) == [xxhash.xxh3_64_intdigest(key) for key in KEYS]


def test_the_routes_of_the_original() -> None:
    keys = [b"", b"a", b"foo"]
    assert split.md5_first(keys) == [0xD41D8CD9, 0x0CC175B9, 0xACBD18DB]
    assert split.route(keys, 3) == [1, 0, 1]
    assert split.route(keys, 4) == [1, 1, 3]
    assert split.route([b"1", b"2", b"3", b"4"], 2) == [0, 1, 0, 1]


@pytest.mark.parametrize("by", [split.By.MD5, split.By.XXH3])
def test_the_route_of_the_library_is_the_route_of_python(by: split.By) -> None:
    # In C the remainder is computed without dividing: compare for every number of reducers there can be.
    keys = [b"%d" % n for n in range(300)]
    for reducers in range(1, split.MAX_REDUCERS + 1):
        source = os.memfd_create("lines")
        os.write(source, b"".join(key + b"\n" for key in keys))
        os.lseek(source, 0, os.SEEK_SET)
        parts = [os.memfd_create("part") for _ in range(reducers)]
        split.split(source, parts, by=by)
        got = {key: n for n, fd in enumerate(parts) for key in os.pread(fd, 10_000, 0).split()}
        for fd in (source, *parts):
            os.close(fd)
        assert [got[key] for key in keys] == split.route(keys, reducers, by)
