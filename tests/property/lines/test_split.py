"""Splitting against a model of a few lines, over any text and any size of buffer."""

from __future__ import annotations

import hashlib
import os
import re

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from datapath import split
from datapath.split import By

# Texts with much of what matters: ends of all kinds, delimiters, empty fields, long lines.
PIECES = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"\t", b",", b"::", b":", b"a", b"bc", b"\xff\x00", b"x" * 70, b"y" * 300]
)
TEXT = st.lists(PIECES, max_size=60).map(b"".join)
FIELDS = st.lists(st.integers(1, 5), min_size=1, max_size=4)
DELIMITERS = st.sampled_from([b"\t", b",", b"::", b"a"])
BUFFERS = st.sampled_from([0, 1, 2, 3, 7, 64, 65, 100, 1000])


def lines_of(text: bytes) -> list[bytes]:
    lines = re.split(rb"\r\n|\n|\r", text)
    return lines if lines[-1] else lines[:-1]


def key_of(line: bytes, fields: list[int], delimiter: bytes) -> bytes:
    parts = line.split(delimiter)
    return delimiter.join(parts[n - 1] for n in fields if n <= len(parts) and parts[n - 1])


def reducer_of(key: bytes, reducers: int, by: By) -> int:
    if by is By.XXH3:
        return xxhash.xxh3_64_intdigest(key) % reducers
    return int(hashlib.md5(key).hexdigest()[:8], 16) % reducers


def model(text: bytes, reducers: int, fields: list[int], delimiter: bytes, by: By) -> list[bytes]:
    parts: list[list[bytes]] = [[] for _ in range(reducers)]
    for line in lines_of(text):
        parts[reducer_of(key_of(line, fields, delimiter), reducers, by)].append(line + b"\n")
    return [b"".join(part) for part in parts]


def file_of(data: bytes = b"") -> int:
    fd = os.memfd_create("test")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def run(
    text: bytes, reducers: int, fields: list[int], delimiter: bytes, by: By, buffer: int
) -> tuple[int, list[bytes]]:
    source, parts = file_of(text), [file_of() for _ in range(reducers)]
    try:
        count = split.split(source, parts, fields, delimiter, by, buffer)
        return count, [os.pread(fd, len(text) * 2 + 10, 0) for fd in parts]
    finally:
        for fd in (source, *parts):
            os.close(fd)


@given(TEXT, st.integers(1, 5), FIELDS, DELIMITERS, st.sampled_from([By.MD5, By.XXH3]), BUFFERS)
def test_every_line_goes_where_the_model_says_in_order(
    text: bytes, reducers: int, fields: list[int], delimiter: bytes, by: By, buffer: int
) -> None:
    count, parts = run(text, reducers, fields, delimiter, by, buffer)
    assert parts == model(text, reducers, fields, delimiter, by)
    assert count == len(lines_of(text))


@pytest.mark.parametrize("fields", [[1], [3, 1]])
def test_a_text_larger_than_every_buffer_loses_nothing(fields: list[int]) -> None:
    # Longer than a mapped window and than the outputs' buffers, with a line longer than the input buffer inside.
    row = b"".join(b"key%d\t%d\tabc%s\n" % (n % 977, n, b"." * (n % 241)) for n in range(5_000))
    text = row + b"long\t2\t" + b"z" * 1_000_000 + b"\r\n" + row * 15 + b"last without end"
    count, parts = run(text, 3, fields, b"\t", By.MD5, 0)
    expected = model(text, 3, fields, b"\t", By.MD5)
    assert [hashlib.md5(part).hexdigest() for part in parts] == [hashlib.md5(part).hexdigest() for part in expected]
    assert len(text) > 10 << 20
    assert count == 16 * 5_000 + 2


@given(st.lists(st.binary(max_size=140), max_size=70))
def test_md5_in_lanes_is_md5(keys: list[bytes]) -> None:
    expected = [int(hashlib.md5(key).hexdigest()[:8], 16) for key in keys]
    assert split.md5_first(keys) == expected
    assert split.md5_first(keys, lanes=1) == expected
    assert split.md5_first(keys, lanes=4) == expected


@given(st.lists(st.binary(max_size=1200), max_size=20))
def test_xxh3_is_xxh3(keys: list[bytes]) -> None:
    assert split.xxh3_64(keys) == [xxhash.xxh3_64_intdigest(key) for key in keys]
