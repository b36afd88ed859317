"""The comparison of a plain script that its lackey executes with the same script under bash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.support.nodes.lackey_instance import Instance, Outcome

# A variable that tasks do not have: with it, every script needs bash.
MARK = "NEEDS_BASH"


class Result(NamedTuple):
    """All that a task leaves; of an environment that it prints, the order does not count."""

    code: int
    flags: int
    stdout: tuple[str, ...]
    stderr: str


def result(outcome: Outcome, separator: str) -> Result:
    pieces = (piece for piece in outcome.stdout.split(separator) if not piece.startswith(f"{MARK}="))
    return Result(outcome.code, outcome.done.flags, tuple(sorted(pieces)), outcome.stderr)


def both_ways(
    instance: Instance, script: str, environment: Mapping[str, str] | None = None, separator: str = "\n"
) -> tuple[Result, Result]:
    """What a script leaves as a task with that environment: as lackeys run it, and by bash."""
    given = environment or {}
    direct = instance.run(script, environment=given)
    by_bash = instance.run(script, environment={**given, MARK: ""})
    return result(direct, separator), result(by_bash, separator)
