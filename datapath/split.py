"""The routing of keys to reducers, as `msplit` does it.

`msplit` splits a stream of lines by key inside a task, in C. Other code sometimes needs its result:
a test, a tool that explains where a key went, a route decided in Python. It must not be implemented
twice, so this module calls the same C code.

Example: `route([b"", b"a", b"foo"], 3)` is `[1, 0, 1]`: the reducers that those keys have
in a phase of three, here and on Manta.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from datapath._core import ffi, lib

MAX_REDUCERS = 128


class By(IntEnum):
    """The ways in which a key selects a reducer."""

    MD5 = lib.SPLIT_MD5  # first 32 bits of the key's MD5, modulo the reducers: as on Manta
    XXH3 = lib.SPLIT_XXH3  # 64-bit XXH3 of the key, modulo the reducers: faster
    INDEX = lib.SPLIT_INDEX  # the key is the reducer's number


class SplitError(Exception):
    """A stream could not be split; the text says why."""


def md5_first(keys: Sequence[bytes], lanes: int | None = None) -> list[int]:
    """The first 32 bits of each key's MD5; `lanes` keys at once. Raises ValueError if the machine has no such lanes."""
    structs, _alive = _keys(keys)
    first = ffi.new("uint32_t[]", len(keys))
    if lanes is None:
        lib.md5_first(structs, len(keys), first)
    elif lib.md5_first_in(lanes, structs, len(keys), first) < 0:
        raise ValueError(f"this machine cannot hash in {lanes} lanes")
    return list(first)


def xxh3_64(keys: Sequence[bytes]) -> list[int]:
    """The 64-bit XXH3 of each key."""
    structs, _alive = _keys(keys)
    hashes = ffi.new("uint64_t[]", len(keys))
    lib.xxh3_keys(structs, len(keys), hashes)
    return list(hashes)


def route(keys: Sequence[bytes], reducers: int, by: By = By.MD5) -> list[int]:
    """The reducer of each key, for a phase of `reducers`. `by` is not INDEX: then the key is the answer."""
    hashes = xxh3_64(keys) if by is By.XXH3 else md5_first(keys)
    return [value % reducers for value in hashes]


def split(
    src: int,
    dsts: Sequence[int],
    fields: Sequence[int] = (1,),
    delimiter: bytes = b"\t",
    by: By = By.MD5,
    buffer: int = 0,
) -> int:
    """Split the lines of `src` into one descriptor per reducer, as `msplit` does; returns the number of lines.

    `buffer` is the size of the input buffer (0: a fast one; tests take small ones). Raises SplitError for a
    stream or a specification that cannot be split, OSError when reading or writing fails.
    """
    numbers, text = ffi.new("uint32_t[]", list(fields)), ffi.new("char[]", delimiter)
    spec = ffi.new("struct split_spec *", (by, len(dsts), numbers, len(fields), text, len(delimiter), buffer, ffi.NULL))
    report = ffi.new("struct split_report *")
    result = lib.split_run(spec, src, list(dsts), report)
    message = ffi.string(report.message).decode("utf-8", "replace")
    if result in (lib.SPLIT_READ, lib.SPLIT_WRITE):
        raise OSError(report.error, message)
    if result != lib.SPLIT_DONE:
        raise SplitError(message)
    return int(report.lines)


def _keys(keys: Sequence[bytes]) -> tuple[object, list[object]]:
    """The keys as C arrays, and the objects that must live as long."""
    alive = [ffi.from_buffer("unsigned char[]", key) for key in keys]
    return ffi.new("struct hash_key[]", [(data, len(key)) for data, key in zip(alive, keys, strict=True)]), [*alive]
