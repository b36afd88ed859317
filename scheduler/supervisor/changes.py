"""What a transaction changed, for the shadow in memory and for whoever waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Revoked(NamedTuple):
    """A running attempt that is not wanted any more."""

    agent: int
    pool: int
    task: int
    attempt: int


@dataclass(slots=True)
class Changes:
    """Applied after the commit, and only then.

    `discard` are blobs without a name left. `finished` are reduce tasks whose inputs may be
    forgotten. `left` counts attempts that agents no longer hold, by pool.
    """

    ready: Counter[int] = field(default_factory=Counter)
    left: Counter[int] = field(default_factory=Counter)
    ended_pools: set[int] = field(default_factory=set)
    changed_jobs: set[int] = field(default_factory=set)
    done_jobs: set[int] = field(default_factory=set)
    finished_reducers: list[int] = field(default_factory=list)
    discard: list[str] = field(default_factory=list)
    revoked: list[Revoked] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)  # for metrics: committed, failed, retried …
