"""Troubles of the instance loop: what Nomad fails to do, the pauses before it is asked again, and who is told.

A trouble belongs to a subject: one job of Nomad's, or `LOOKING`, which stands for reading anything at all. Each
further failure of the same subject makes its pause longer. Two people read of it. The owner of a job that waits reads
a sentence without details, for they are no business of his; the operator reads Nomad's own (`remora cluster status`).

Example: the supervisors' policy is missing. Every look is refused (403): the first pause is a second, the longest a
minute. Jobs wait "instances cannot be booked: the cluster's scheduler refuses"; the operator reads "Nomad did not list
jobs: the token in NOMAD_TOKEN does not allow it". The policy is written, the next look succeeds, and both are gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scheduler.nomad.api import ConflictError, NomadError

log = logging.getLogger("remora.supervisor")

LOOKING = "looking"
NOT_YET = NomadError("Nomad has not answered since this supervisor started", passing=True)
SILENT = "instances cannot be booked now: the cluster's scheduler does not answer"
REFUSED = "instances cannot be booked: the cluster's scheduler refuses"
TAKEN = "instances cannot be booked: the cluster's scheduler has a job of that name that is not ours"
# Seconds of the first pause after a failure, and of the longest.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


@dataclass(slots=True)
class Pause:
    """A pause after a failure, which grows with each further one."""

    until: float
    seconds: float

    @classmethod
    def after(cls, last: Pause | None, now: float) -> Pause:
        recent = last is not None and now < last.until + LONGEST_PAUSE
        seconds = min(2 * last.seconds, LONGEST_PAUSE) if last is not None and recent else FIRST_PAUSE
        return cls(now + seconds, seconds)


class Troubles:
    """The troubles and pauses by subject; `now` gives monotonic seconds. Nomad counts as silent until it answers."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pauses: dict[str, Pause] = {}
        self._failures: dict[str, NomadError] = {LOOKING: NOT_YET}

    def failed(self, subject: str, error: NomadError) -> float:
        """Note a failure; returns the seconds of the pause."""
        self._failures[subject] = error
        seconds = self.pause(subject)
        level = logging.INFO if self._may_be_ours(subject) else logging.WARNING
        log.log(level, "reservations wait for Nomad", extra={"why": str(error), "pause": seconds})
        return seconds

    def pause(self, subject: str) -> float:
        """Ask for nothing about a subject for a while; returns for how many seconds."""
        pause = self._pauses[subject] = Pause.after(self._pauses.get(subject), self._now())
        return pause.seconds

    def over(self, subject: str) -> None:
        """Forget a failure; its pause still counts for a further one."""
        self._failures.pop(subject, None)

    def well(self, subject: str) -> None:
        """Forget a failure and its pause."""
        self.over(subject)
        self._pauses.pop(subject, None)

    def ours(self, subject: str) -> None:
        """A job is ours: another of our supervisors was faster with its name."""
        if isinstance(self._failures.get(subject), ConflictError):
            self.well(subject)

    def may(self, subject: str) -> bool:
        """Whether Nomad may be asked about a subject now."""
        pause = self._pauses.get(subject)
        return pause is None or pause.until <= self._now()

    def for_owners(self, subjects: Iterable[str]) -> str | None:
        """The sentence for owners of jobs about the first of these subjects that has a failure."""
        found = (self._failures[subject] for subject in subjects if subject in self._failures)
        return next((_sentence(error) for error in found), None)

    @property
    def for_operators(self) -> str | None:
        """The oldest failure that stands, in Nomad's words."""
        return next((str(error) for subject, error in self._failures.items() if not self._may_be_ours(subject)), None)

    def _may_be_ours(self, subject: str) -> bool:
        """Whether a name was taken, and not again since: by a supervisor whose job this one has taken over, mostly."""
        pause = self._pauses.get(subject)
        return (
            isinstance(self._failures.get(subject), ConflictError)
            and pause is not None
            and pause.seconds == FIRST_PAUSE
        )


def _sentence(error: NomadError) -> str:
    if isinstance(error, ConflictError):
        return TAKEN
    return SILENT if error.passing else REFUSED
