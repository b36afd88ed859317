"""Samples, bars, and the lines of the table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

Turn = Callable[[], float]  # one turn of a contestant: a sample in the unit of its line


class SkippedError(Exception):
    """A row that cannot be measured here; the text is the reason, a sentence."""


@dataclass(frozen=True, slots=True)
class Bar:
    """The value that a figure must reach now (`bar`), and should reach later (`goal`).

    The figure is the ratio to the peer, or with `absolute` Remora's own value. `at_most`: less is better.
    """

    bar: float | None = None
    goal: float | None = None
    absolute: bool = False
    at_most: bool = False

    def reached(self, figure: float, limit: float) -> bool:
        return figure <= limit if self.at_most else figure >= limit


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: Remora's samples and the peer's, one a round, in `unit`. `peer` is "" if there is none."""

    what: str
    unit: str
    ours: Sequence[float]
    bar: Bar
    peer: str = ""
    theirs: Sequence[float] = field(default=())

    @property
    def ratios(self) -> list[float]:
        """The ratios of Remora's samples to the peer's, round by round."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)] if self.peer else []

    @property
    def figure(self) -> float:
        """The figure that is compared with the bar: the median ratio, or with `absolute` the median sample."""
        return median(self.ours if self.bar.absolute else self.ratios)

    @property
    def misses_bar(self) -> bool:
        return self.bar.bar is not None and not self.bar.reached(self.figure, self.bar.bar)

    @property
    def verdict(self) -> str:
        """Whether the bar and the goal are reached, in words."""
        bar, figure = self.bar, self.figure
        words = []
        if bar.bar is not None:
            words.append("met" if bar.reached(figure, bar.bar) else "NOT met")
        if bar.goal is not None:
            words.append("goal met" if bar.reached(figure, bar.goal) else "goal not met")
        return ", ".join(words)


def interleave(rounds: int, *contestants: Turn) -> list[list[float]]:
    """Let the contestants take turns, every other round backwards; returns the samples of each, by round.

    Each begins when nothing is left to write: an operation flushes the file system, and would wait for the bytes that a
    contestant which flushes nothing has left behind.
    """
    samples: list[list[float]] = [[] for _ in contestants]
    for number in range(rounds):
        turns = list(zip(contestants, samples, strict=True))
        for turn, taken in reversed(turns) if number % 2 else turns:
            os.sync()
            taken.append(turn())
    return samples


def seconds(work: Callable[[], object]) -> float:
    """The duration of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
