"""Plain scripts, by the Python binding: those whose program the lackey executes without bash.

`include/lackey/plain.h` is the contract.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from datapath._core import ffi, lib
from datapath.passing import encode_environment


def plain_words(script: str) -> list[str] | None:
    """The words of a plain script; None if it needs bash. Raises ValueError for a NUL byte in it."""
    text = script.encode("utf-8", "surrogateescape")
    if b"\0" in text:
        raise ValueError("a script has a NUL byte in it")
    plain = ffi.new("struct plain *")
    if not lib.plain_parse(plain, text):
        return None
    words = itertools.takewhile(lambda word: word != ffi.NULL, plain.words)
    return [ffi.string(word).decode() for word in words]


def plain_environment(variables: Mapping[str, str]) -> bool:
    """Whether bash would pass all variables on unchanged and obey none but PATH."""
    kept = [ffi.new("char[]", variable) for variable in encode_environment(variables).split(b"\0")[:-1]]
    return bool(lib.plain_environment(ffi.new("char *[]", [*kept, ffi.NULL])))
