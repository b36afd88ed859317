"""The outcome of a job that is over: what went wrong, by kind, and what can be done about it.

A job that had errors, or was cancelled, is a failure for the command that waited for it, though the outputs that
there are have been printed. Errors are counted by kind: a code and a message in which quoted names do not count.

Example, of 500 inputs of which 344 have no match:

    344 × UserTaskError: user command exited with code 1
      its outputs:           mjob cat 8bd3…
      each error:            mjob errors 8bd3…
      run again what failed: mjob rerun --failed 8bd3…
    mjob create: error: job 8bd3… had 344 errors
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from cli.client.problem import Problem
from cli.frame import note
from cli.text import count

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status

FINDING = {"sorted_merge", "sorted_reduce"}  # kinds of stages whose tasks find their input themselves
QUOTED, ANY = re.compile(r'"[^"]*"(?!:)'), '"…"'  # but not the settings of a phase, `"memory": 256`
COUNTED = 10_000  # errors that are looked at; of more the first ones stand for all
SHOWN = 8  # kinds that are listed


class Failed(Problem):
    """A job had errors or was cancelled."""


def check(mine: Jobs, job: str, status: Status) -> None:
    """Tell what went wrong and what to do next. Raises `Failed` if the job had errors or was cancelled.

    An operation that completed did so whatever errors its attempts had.
    """
    if (ended := status.get("result")) and ended["outcome"] == "completed":
        return
    if ended:
        if status["stats"].get("errors"):
            note(f"  each error:     mjob errors {job}")
            if not FINDING.intersection(stage["kind"] for stage in status["progress"]["stages"]):
                note(f"  a task's input: mjob input {job} TASK")
        raise Failed(ending_of(job, ended))
    if not (status["stats"].get("errors") or status.get("cancelled")):
        return
    for line in [*told_kinds(mine, job, status), *advice(job, status)]:
        note(line)
    raise Failed(sentence(job, status))


def told_kinds(mine: Jobs, job: str, status: Status) -> list[str]:
    """The kinds of errors; none for a single error, which has been shown when it happened."""
    total = int(status["stats"].get("errors", 0))
    if total < 2:
        return []
    records = (json.loads(line) for line in islice(mine.records(job, "err"), COUNTED))
    return described(kinds(records), total)


def kinds(records: Iterable[dict[str, Any]]) -> Counter[str]:
    """How many errors there are of each kind."""
    return Counter(f"{one.get('code')}: {QUOTED.sub(ANY, str(one.get('message')))}" for one in records)


def described(found: Counter[str], total: int) -> list[str]:
    """`344 × UserTaskError: …`, the most frequent kind first."""
    lines = [f"{number} × {kind}" for kind, number in found.most_common(SHOWN)]
    if len(found) > SHOWN:
        lines.append(f"and {count(len(found) - SHOWN, 'other kind')}")
    if total > (looked := found.total()):
        lines.append(f"(of the first {looked} errors)")
    return lines


def advice(job: str, status: Status) -> list[str]:
    """The commands that go on from here, each with what it is for."""
    rows = [("its outputs", f"mjob cat {job}")] if status["stats"].get("outputs") else []
    if status["stats"].get("errors"):
        rows.append(("each error", f"mjob errors {job}"))
    rows.append(("run again what failed", f"mjob rerun --failed {job}"))
    width = max(len(what) for what, _ in rows) + 1
    return [f"  {f'{what}:':<{width}} {how}" for what, how in rows]


def ending_of(job: str, result: dict[str, Any]) -> str:
    """The sentence for an operation that failed or was aborted."""
    if result["outcome"] == "aborted":
        return f"operation {job} was aborted: {result['reason']}"
    return f"operation {job} failed: {result['error']['message']}"


def sentence(job: str, status: Status) -> str:
    """The sentence for a job that was cancelled or had errors."""
    if status.get("cancelled"):
        return f"job {job} was cancelled"
    return f"job {job} had {count(int(status['stats']['errors']), 'error')}"
