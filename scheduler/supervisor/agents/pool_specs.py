"""Specifications of pools: what an agent has to know of a phase to run its tasks."""

from __future__ import annotations

from collections.abc import Callable

from scheduler.model.errors import JobErrorCode
from scheduler.model.wire import Asset, BlobRef, PoolSpec
from scheduler.objects.entries import Entry
from scheduler.records.database import Connection
from scheduler.supervisor.agents.account_limits import shorter
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs.resolve import resolve
from scheduler.supervisor.operations import shuffling

IssueToken = Callable[[str, str, str], str]  # (login, job, node) -> token


def pool_spec(c: Connection, live: LiveJob, pool: int, node: str, issue_token: IssueToken) -> PoolSpec:
    """The description of a pool that an agent needs to run its tasks, with a token for them."""
    number = live.phase_of(pool)
    phase, operation = live.spec.phases[number], live.spec.operation
    assets, problem = find_assets(c, live.owner, phase.assets)
    if operation is not None and phase.bordered:
        assets.append(shuffling.borders(c, live, operation))
    partitions = shuffling.partitions_of(c, live)
    hashed = live.hashes(number) or (live.is_joined(number) and _is_alone(c, live, number))
    return PoolSpec(
        pool=pool,
        job=live.uuid,
        login=live.owner,
        phase=number,
        blocking=phase.blocking,
        exec=phase.exec,
        init=phase.init,
        counting=phase.counting,
        zero=phase.zero,
        bounds_lines=phase.bounds_lines,
        ends_lines=phase.ends_lines and not (phase.partitioned and partitions > 1),
        assets=assets,
        init_error=problem,
        memory_mb=phase.memory_mb,
        disk_gb=phase.disk_gb,
        image=phase.image,
        timeout_s=shorter(phase.timeout_s, live.limits.task_seconds),
        last=live.makes_objects(number),
        hashed=hashed,
        piped=phase.piped and hashed,
        divides=phase.divides,
        merges=phase.merges,
        partitions=partitions,
        next_reducers=live.next_reducers(number),
        token=issue_token(live.owner, live.uuid, node),
        operation=operation.type if operation else None,
        stderr_bytes=operation.stderr.bytes if operation else 0,
    )


def _is_alone(c: Connection, live: LiveJob, phase: int) -> bool:
    """Whether a stage has a single task, as far as it is planned: what it leaves is likely to be an object as it is."""
    issued: int = c.all("phases_of_job", job=live.id)[phase]["issued"]
    return issued <= 1


def find_assets(c: Connection, owner: str, names: tuple[str, ...]) -> tuple[list[Asset], str | None]:
    """The assets as blobs, or the message of the TaskInitError that every task of the phase gets."""
    found = resolve(c, owner, names)
    assets = []
    for name in names:
        answer = found[name]
        if not isinstance(answer, Entry):
            status = 403 if answer[0] == JobErrorCode.AUTHORIZATION else 404
            reason = f'error retrieving asset "{name}" (status code {status})'
            return [], f"failed to dispatch task: first of 1 error: {reason}"
        assets.append(Asset(name=answer.path, blob=blob_of(answer)))
    return assets, None


def blob_of(entry: Entry) -> BlobRef:
    """A reference to the bytes of an object."""
    assert entry.etag is not None and entry.size is not None
    return BlobRef(id=entry.etag, size=entry.size, md5=entry.md5 or None)
