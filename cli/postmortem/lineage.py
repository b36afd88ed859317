"""Which intermediate is which, when phases run a second time: names differ, since they end in ids, but places do not.

The place of an intermediate is the way to it from the job's inputs: for each task on the way, the number of its output
among those that it made; a reducer adds its own number in front. Two runs of the same phases on the same inputs have
the same places.

Who made an intermediate: what a task prints is named after it (`….PHASE.TASK`); of tools' outputs only the phase is
known, so their maker is known if it was the only task of its phase. The outputs of a task are recorded together, in
their order.

Example: phase 0 splits /jill/stor/x into three by `mpipe`, phase 1 fails at `….0.5c1b…`, which is the second of them.
Its place is (1,), and in another run the second output of phase 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cli.postmortem.tasks import Task

Place = tuple[int, ...]


class UnknownMakerError(Exception):
    """It cannot be told which task made an intermediate."""


@dataclass(frozen=True)
class Made:
    """What the tasks of a phase made, in the order in which it was recorded. `before` is None in the first phase."""

    phase: int
    makers: Sequence[Task]
    names: Sequence[str]
    before: Made | None

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def _by_id(self) -> dict[str, Task]:
        return {task.id: task for task in self.makers}

    def place(self, name: str) -> Place:
        """The place of one of them. Raises UnknownMakerError."""
        maker, number = self._maker(name)
        if maker.input is None:
            return maker.reducer, number
        return (*(self.before.place(maker.input) if self.before else ()), number)

    def _maker(self, name: str) -> tuple[Task, int]:
        """The task that made it, and its number among the outputs of this task."""
        if len(self.makers) == 1 and name in self._numbers:
            return self.makers[0], self._numbers[name]
        base, _, end = name.rpartition(f".{self.phase}.")
        if not base or end not in self._by_id:
            raise UnknownMakerError(name)
        return self._by_id[end], 0

    def at(self, place: Place) -> str | None:
        """What is at a place; None if nothing is."""
        for name in self.names:
            try:
                if self.place(name) == place:
                    return name
            except UnknownMakerError:
                continue
        return None


def made_before(phase: int, tasks: Sequence[Task], outputs: Sequence[str] = ()) -> Made:
    """What the phase before `phase` made, by all tasks of a run: read by those of `phase`, or else its `outputs`."""
    by_phase = [[task for task in tasks if task.phase == number] for number in range(phase + 1)]
    made: Made | None = None
    for number in range(phase):
        names = [task.input for task in by_phase[number + 1] if task.input is not None]
        made = Made(number, by_phase[number], names or (outputs if number + 1 == phase else ()), made)
    assert made is not None
    return made
