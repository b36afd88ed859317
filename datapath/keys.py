"""The helper of `msplit -e`, which makes the keys of lines by the user's JavaScript.

`msplit` is a static program that finds lines, routes them by key and writes them. A user may define
the key of a line in JavaScript, and such a program should not contain a JavaScript engine. So there
is a helper, `mkey`, which msplit starts when it is needed: batches of lines come in, and as many
keys go out (`include/split/script.h` says how). The engine is QuickJS. It has no access to files or
processes, starts in a millisecond, and runs in the task's instance with the task's rights like all
code of the user.

Crossing between Python and JavaScript costs more than most scripts, so a batch crosses as
one text with its lines joined, which is unambiguous as no line has a line end in it, and
its keys come back as one JSON text.

As on Manta, the script is the body of `function (line)`; an expression is made into one. `this` is
the line's JSON value with `--json`, else `{line: line}`. The script must return a string; with
`--index`, where the key is the reducer's number itself, a number is accepted too.

Example: `msplit -n 4 -j -e "this.id.substring(0, 9)"` runs
`mkey --json -- "this.id.substring(0, 9)"`.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO

import quickjs

FAILED = 0xFFFFFFFF
SENTENCE = 500  # bytes of an error message; msplit has room for a few more
WORD = struct.Struct("=I")

DRIVER = """
(function () {
  'use strict';
  const stringify = JSON.stringify, parse = JSON.parse;
  let key, allowed, isJson;

  class Failure {
    constructor(message) {
      this.message = message;
    }
  }

  function fail(message) {
    throw new Failure(message);
  }

  function thisOf(line) {
    if (!isJson)
      return {line};
    if (line === '')
      return null;
    try {
      return parse(line);
    } catch (error) {
      return fail('error: input is not json: ' + line);
    }
  }

  function keyOf(line) {
    const value = thisOf(line);
    let made;
    try {
      made = key.call(value, line);
    } catch (error) {
      return fail(error + ' in line: ' + line);
    }
    if (!allowed.includes(typeof made))
      return fail(String(made) + ' must be one of types [' + allowed.join(', ') + '], but was type ' + typeof made);
    return String(made);
  }

  this.begin = function (body, json, index) {
    key = new Function('line', body);
    isJson = json;
    allowed = index ? ['string', 'number'] : ['string'];
  };

  this.keysOf = function (batch) {
    try {
      return stringify(batch.split('\\n').map(keyOf));
    } catch (error) {
      return stringify(error instanceof Failure ? error : new Failure('the key cannot be made a string'));
    }
  };
}).call(globalThis);
"""


class ScriptError(Exception):
    """An error in the script, or in a key that it made: one sentence."""


class Script:
    """A compiled script. Raises ScriptError if it is not valid JavaScript."""

    def __init__(self, text: str, *, is_json: bool = False, is_index: bool = False) -> None:
        context = quickjs.Context()
        context.eval(DRIVER)
        self._keys_of: Callable[[str], str] = context.get("keysOf")
        try:
            context.get("begin")(body_of(text), is_json, is_index)
        except quickjs.JSException as error:
            raise ScriptError(f"cannot run the script: {str(error).partition(chr(10))[0]}") from None

    def keys(self, lines: bytes) -> list[bytes]:
        """The keys of lines that are separated by LF. Raises ScriptError."""
        try:
            made = json.loads(self._keys_of(lines.decode("utf-8", "replace")))
        except quickjs.JSException as error:
            raise ScriptError(f"the script failed: {str(error).partition(chr(10))[0]}") from None
        if isinstance(made, dict):
            raise ScriptError(str(made["message"]))
        return [encode(key) for key in made]


def body_of(text: str) -> str:
    """The body of a function: the text, or for an expression one that returns it."""
    return text if "return" in text else f"return ({text.removesuffix(';')})"


def encode(text: str) -> bytes:
    """Encode as UTF-8; half of a surrogate pair becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def read_batch(source: BinaryIO) -> bytes:
    """The next batch of lines. Raises EOFError when there is none, or not all of it."""
    (length,) = WORD.unpack(read(source, WORD.size))
    return read(source, length)


def read(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    return data


def write_keys(sink: BinaryIO, keys: Sequence[bytes]) -> None:
    sink.write(struct.pack(f"={1 + len(keys)}I", len(keys), *map(len, keys)) + b"".join(keys))
    sink.flush()


def serve(script: Script, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer batches until msplit has no more. Raises ScriptError."""
    write_keys(sink, [])
    try:
        while True:
            write_keys(sink, script.keys(read_batch(source)))
    except (EOFError, BrokenPipeError):
        return


def main() -> None:
    """The program `mkey [--json] [--index] -- SCRIPT`."""
    flags, script = sys.argv[1:-1], sys.argv[-1]
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    try:
        serve(Script(script, is_json="--json" in flags, is_index="--index" in flags), source, sink)
    except ScriptError as why:
        sentence = encode(str(why))[:SENTENCE]
        with contextlib.suppress(BrokenPipeError):
            sink.write(WORD.pack(FAILED) + WORD.pack(len(sentence)) + sentence)
            sink.flush()
    os._exit(0)  # skips the slow teardown of the engine
