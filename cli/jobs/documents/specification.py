"""From the words of `mjob create` to a job's JSON.

Two styles. In the *option style* phases are options, `-m wc -r cat`, and what describes a
phase (`--count 2`, `-s ASSET`, …) comes before it and is used up by it. In the *expression
style* phases are words, `grep foo ^ wc ^^ cat`: a word of carets begins a phase, `^` a map,
`^^` a reduce, and every caret after the second counts reducers (`^^^^` is a reduce phase of
2). Here what describes a phase describes all of them.

A caret word is nothing but carets. `sed s/^^/x/` is a command, not a phase.

Example: `-s ~~/stor/a -m wc --count 2 -r cat` by jill is
`[{assets: [/jill/stor/a], exec: wc, type: map}, {count: 2, exec: cat, type: reduce}]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from cli.client import paths
from cli.client.problem import Problem

Phase = dict[str, Any]
# The keys of a phase, in the order in which an expression's phases are written.
KEYS = ("exec", "disk", "image", "init", "memory", "type", "count", "assets", "timeout", "retries")
PROPERTIES = ("count", "disk", "image", "init", "memory", "timeout", "retries")


def from_options(words: Iterable[tuple[str, Any]], home: str) -> list[Phase]:
    """Phases of the option style. `words` are (name, value) in the order of the command line.

    Names are `map`, `reduce`, `asset` and `PROPERTIES`. A count before a map phase is dropped. Raises `Problem`
    for an asset that is no path.
    """
    phases: list[Phase] = []
    coming: Phase = {}
    for name, value in words:
        if name == "asset":
            coming.setdefault("assets", []).append(asset(value, home))
        elif name in PROPERTIES:
            coming[name] = value
        else:
            if name == "map":
                coming.pop("count", None)
            coming.update(exec=value, type=name)
            phases.append(dict(sorted(coming.items())))
            coming = {}
    return phases


def asset(text: str, home: str) -> str:
    """The full name of an asset. Raises `Problem` for what can be none."""
    if not paths.is_full(text):
        raise Problem(f"{text} is not a valid Manta path")
    return paths.expand(text, home)


def left_over(words: Sequence[tuple[str, Any]]) -> list[str]:
    """Names of the option style that stand after the last phase, and so describe none."""
    names = [name for name, _ in words]
    after = max((at for at, name in enumerate(names, 1) if name in ("map", "reduce")), default=len(names))
    return list(dict.fromkeys(names[after:]))


def without_reducers(words: Sequence[tuple[str, Any]], phases: Sequence[Phase]) -> bool:
    """Whether a count was given that counts no reducers: one before a map phase, or without any reduce phase."""
    if not any(name in ("map", "reduce") for name, _ in words):
        return any(name == "count" for name, _ in words) and all(phase["type"] == "map" for phase in phases)
    coming = False
    for name, _ in words:
        if name == "map" and coming:
            return True
        coming = (coming or name == "count") and name not in ("map", "reduce")
    return False


def from_expression(words: Sequence[str], properties: Iterable[tuple[str, Any]], home: str) -> list[Phase]:
    """Phases of the expression style. `properties` are (name, value) as for `from_options`; they apply to all."""
    given: Phase = {}
    for name, value in properties:
        if name == "asset":
            given.setdefault("assets", []).append(asset(value, home))
        else:
            given[name] = value
    count = given.pop("count", 1)
    return [in_order({**given, **phase}, count) for phase in split(words) if phase["exec"]]


def in_order(phase: Phase, count: int) -> Phase:
    """The phase with its keys in `KEYS` order, and with `count` if it is a reduce phase that counts none itself."""
    if phase["type"] == "reduce" and count > 1:
        phase.setdefault("count", count)
    return {key: phase[key] for key in KEYS if key in phase}


def split(words: Sequence[str]) -> list[Phase]:
    """The phases between caret words, empty ones too: `exec`, `type`, and `count` where carets counted."""
    phases: list[Phase] = [{"exec": "", "type": "map"}]
    for word in words:
        if word and not word.strip("^"):
            phases.append({"exec": "", "type": "map" if word == "^" else "reduce"})
            if len(word) > 2:
                phases[-1]["count"] = len(word) - 2
        else:
            phases[-1]["exec"] = f"{phases[-1]['exec']} {word}".lstrip()
    return phases


def document(name: str, phases: list[Phase]) -> dict[str, Any]:
    return {"name": name, "phases": phases}


def keyed(name: str, phases: Sequence[Phase], by: Sequence[str], combiner: str | None) -> dict[str, Any]:
    """The operation that a map phase and a keyed reduce phase are. Raises `Problem` for any other phases.

    As for any job of phases, each object is a task, and what fails is an error beside which the others go on.
    """
    *mappers, reducer = phases
    if len(mappers) > 1 or [phase["type"] for phase in phases] != ["map"] * len(mappers) + ["reduce"]:
        raise Problem("--by is for one map phase and the reduce phase after it: -m CMD --by KEYDEF -r CMD")
    if any("retries" in phase for phase in phases):
        raise Problem("--by and --retries exclude each other (mjob mapreduce runs again what fails)")
    spec: dict[str, Any] = {"reducer": script_of(reducer), "reduce_by": list(by), "per_object": True}
    spec["partition_count"] = reducer.get("count", 1)
    if mappers:
        spec["mapper"] = script_of(mappers[0])
    if combiner:
        spec["combiner"] = {"exec": combiner}
    return {"name": name, "type": "map_reduce", "on_error": "continue", "spec": spec}


def script_of(phase: Phase) -> dict[str, Any]:
    """What a phase says of its command and its instances."""
    return {key: value for key, value in phase.items() if key not in ("type", "count")}


def encoded(body: dict[str, Any]) -> bytes:
    """The JSON text that is sent. Raises `Problem` for bytes that are no text, which JSON cannot say."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        around = error.object[max(0, error.start - 20) : error.end]
        raise Problem(f"a job is text in UTF-8, which this is not: {around}") from None
