"""The standard input of one instance's attempts: a map task's object, the pipe of a task that is fed, or open files.

An object is opened, and appears below `/manta` under its name (`input_files`), until its attempt has
ended. Where instances are not isolated, or an ordinary user runs the agent, the blobs belong to the user
that tasks are (outside of their namespace), who could change one that they have open. So these are looked
at before and after.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from datapath import feed, passing
from scheduler.agent.attempts.attempt import Attempt
from scheduler.agent.attempts.handed_input import HandedInput
from scheduler.agent.attempts.input_files import Inputs, Stamp, place_of, stamp
from scheduler.agent.attempts.reducer_input import Lost, ReducerInput
from scheduler.agent.blobs.slices import line_end_of
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.log import Log
from scheduler.model.wire import BlobRef, PoolSpec
from scheduler.providers import Instance


class InputGoneError(Exception):
    """The blob of a map task does not exist any more."""


class TaskInputs:
    """The inputs of one instance's attempts.

    `changed` is called whenever the state of a feed should be reported, `lost` when a source of an attempt is gone.
    """

    def __init__(
        self,
        spec: PoolSpec,
        stores: Stores,
        instance: Instance,
        log: Log,
        changed: Callable[[], None],
        lost: Callable[[Attempt, Lost], None],
    ) -> None:
        self._spec = spec
        self._stores = stores
        self._files = Inputs(instance.work / "input")
        self._watches = not instance.isolated or os.geteuid() != 0
        self._log = log
        self._changed = changed
        self._lost = lost

    def open_input(self, attempt: Attempt) -> int:
        """Give an attempt its input; returns the descriptor that will be its stdin.

        Raises InputGoneError; BusyError (not now, but later); OSError (the disk).
        """
        if self._spec.merges:
            return self._open_socket(attempt)
        return self._open_pipe(attempt) if attempt.lease.fed else self._open_object(attempt)

    def _open_object(self, attempt: Attempt) -> int:
        lease = attempt.lease
        assert lease.input is not None
        place = place_of(lease.input)
        blob = lease.blob
        if blob is None or blob.size == 0:
            self._files.add(place.path, "", None)
            attempt.place = place
            return os.open(self._files.root + place.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            stdin = self._stores.store_of(blob).open(blob.id)
        except FileNotFoundError:
            raise InputGoneError(lease.input) from None
        try:
            self._files.add(place.path, blob.id, stdin)
        except BaseException:
            os.close(stdin)
            raise
        attempt.place = place
        if self._watches:
            attempt.input_before = stamp(os.fstat(stdin))
        return stdin

    def _open_pipe(self, attempt: Attempt) -> int:
        reading, writing = feed.pipe() if self._spec.blocking else feed.pipe(feed.SLICE_PIPE_BYTES)
        attempt.feed = ReducerInput(
            attempt.lease,
            self._stores,
            writing,
            self._changed,
            partial(self._lost, attempt),
            self._spec.ends_lines,
            line_end_of(self._spec),
            self._spec.bounds_lines,
        )
        return reading

    def _open_socket(self, attempt: Attempt) -> int:
        channel, stdin = passing.handing()
        lost = partial(self._lost, attempt)
        attempt.feed = HandedInput(attempt.lease, self._stores, channel, self._changed, lost, watches=self._watches)
        return stdin

    def check_unchanged(self, attempt: Attempt) -> None:
        """Check whether a task has changed its input; then the attempt fails, and the blob is not used again."""
        if attempt.input_before is not None:
            assert attempt.lease.blob is not None  # otherwise there was no stamp
            self._check(attempt, attempt.lease.blob, attempt.input_before)
        if isinstance(attempt.feed, HandedInput):
            for blob, before in attempt.feed.stamps:
                self._check(attempt, blob, before)

    def _check(self, attempt: Attempt, blob: BlobRef, before: Stamp) -> None:
        try:
            changed = stamp(self._stores.store_of(blob).status(blob.id)) != before
        except FileNotFoundError:
            return  # the object was deleted meanwhile
        attempt.input_changed = attempt.input_changed or changed
        if changed:
            self._log.error("a task changed its input", task=attempt.lease.uuid, blob=blob.id)
            self._stores.doubt(blob)

    def close_input(self, attempt: Attempt) -> None:
        """Take an attempt's input away."""
        if attempt.place is not None:
            self._files.remove(attempt.place.path)
        if attempt.feed is not None:
            attempt.feed.close()

    def close(self) -> None:
        """Remove all files: the instance has ended."""
        self._files.close()
