"""The reports of one link, on their way to the supervisor: a queue, and the batch that is being handed in.

Outputs are durable before they are reported: one flush for the whole batch. A batch stays here until it is answered,
also when its registration ends meanwhile: then it is handed in again, by the next one. It may have been recorded all
the same, its answer being what was lost; so the blobs of a batch are removed only when the supervisor says that an
attempt is void.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence

from scheduler.agent.attempts.reports import blobs_of, failed_report
from scheduler.agent.attempts.verdict import FULL_MACHINE
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.client import FullError
from scheduler.agent.log import Log
from scheduler.common.background import TaskSet
from scheduler.common.backoff import Backoff
from scheduler.model.errors import JobErrorCode, WireError
from scheduler.model.wire import MAX_OUTPUTS, MAX_REPORTS, AttemptId, AttemptReport, BlobRef

MAX_BATCH = 256
# Smaller outputs free too little space to fail their task for it.
DROPPED_BYTES = 1 << 20
# Seconds between tries of a flush that the disk refuses: the first pause and the longest.
FLUSH_PAUSES = (0.1, 5.0)

# Sends attempts that have ended, and that have begun; returns those that are void.
Send = Callable[[Sequence[AttemptReport], Sequence[AttemptId]], Awaitable[list[AttemptId]]]
Ask = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]  # repeats a request until it is answered


class ReportQueue:
    """The attempts of one link that have ended or begun, and that its supervisor is to be told of."""

    def __init__(self, stores: Stores, send: Send, ask: Ask, closing: TaskSet, log: Log) -> None:
        """`closing` runs what is awaited when the link closes."""
        self._stores = stores
        self._report = send
        self._ask = ask
        self._closing = closing
        self._log = log
        self._waiting: deque[AttemptReport] = deque()
        self._batch: list[AttemptReport] = []  # that is being handed in
        self._unanswered = False  # a request with it was not answered: it may have been recorded
        self._began: list[AttemptId] = []

    def add(self, report: AttemptReport) -> None:
        self._waiting.append(report)

    def note_begun(self, attempt: AttemptId) -> None:
        self._began.append(attempt)

    @property
    def is_empty(self) -> bool:
        return not (self._waiting or self._batch)

    @property
    def is_long(self) -> bool:
        """Whether there is at least a whole batch."""
        return len(self._waiting) + len(self._batch) >= MAX_BATCH

    def attempts(self) -> Iterator[AttemptId]:
        """The attempts that have ended, and of which no report is answered yet."""
        for report in (*self._batch, *self._waiting):
            yield AttemptId(task=report.task, attempt=report.attempt)

    def discard(self) -> None:
        """Remove the blobs of what was never sent: it will not be reported."""
        never_told = [blob.id for report in self._waiting for blob in blobs_of(report)]
        self._waiting.clear()
        if never_told:
            self._stores.discard(never_told)

    async def hand_in(self) -> None:
        """Make a batch durable and report it; retried until it succeeds."""
        if not self._batch and self._waiting:
            self._batch, self._unanswered = next_batch(self._waiting), False
        began = self._began[:MAX_REPORTS]
        if blobs := [blob for report in self._batch for blob in blobs_of(report)]:
            await self._flush(blobs)
        await self._ask(lambda: self._send(self._batch, began))
        self._batch = []
        del self._began[: len(began)]

    async def _send(self, batch: list[AttemptReport], began: Sequence[AttemptId] = ()) -> None:
        try:
            void = await self._report(batch, began)
        except FullError:
            if not self._unanswered:
                self._drop_largest(batch)
            raise
        except WireError as error:
            self._log.error("the supervisor refused a report", why=error.message, attempts=len(batch))
            await self._send_less(batch, error.message)
        except BaseException:
            self._unanswered = True
            raise
        else:
            self._drop(batch, {(attempt.task, attempt.attempt) for attempt in void})

    def _drop(self, batch: list[AttemptReport], void: set[tuple[int, int]]) -> None:
        """Remove the outputs of void attempts: they were cancelled, or are retried."""
        left = [report for report in batch if (report.task, report.attempt) in void]
        if doomed := [blob.id for report in left for blob in blobs_of(report)]:
            self._closing.spawn(asyncio.to_thread(self._stores.discard, doomed))

    def _drop_largest(self, batch: list[AttemptReport]) -> None:
        """Fail the tasks with the largest outputs and drop these: the records have no disk space for the batch."""
        sizes = [sum(blob.size for blob in blobs_of(report)) for report in batch]
        if sizes and (most := max(sizes)) >= DROPPED_BYTES:
            position = sizes.index(most)
            self._stores.discard(blob.id for blob in blobs_of(batch[position]))
            batch[position] = failed_report(batch[position], FULL_MACHINE, JobErrorCode.USER_TASK)

    async def _send_less(self, batch: list[AttemptReport], why: str) -> None:
        """Report one by one what was refused as a batch; a task whose outputs cannot be reported even alone fails."""
        if len(batch) > 1:
            for report in batch:
                await self._send([report])
        elif batch and batch[0].outputs:
            await self._send([failed_report(batch[0], f"cannot save outputs: {why}")])
            self._stores.discard(blob.id for blob in blobs_of(batch[0]))

    async def _flush(self, blobs: list[BlobRef]) -> None:
        """Make blobs durable before they are reported. A disk that refuses is retried."""
        backoff = Backoff(*FLUSH_PAUSES)
        while True:
            try:
                await self._stores.durable(blobs)
                return
            except OSError as error:
                self._log.error("the disk refuses to flush", why=str(error))
            await asyncio.sleep(backoff.next())


def next_batch(finished: deque[AttemptReport]) -> list[AttemptReport]:
    """Take the first reports, at least one, as many as fit into one transaction and one request body."""
    batch = [finished.popleft()]
    outputs = len(batch[0].outputs)
    while finished and len(batch) < MAX_BATCH and (outputs := outputs + len(finished[0].outputs)) <= MAX_OUTPUTS:
        batch.append(finished.popleft())
    return batch
