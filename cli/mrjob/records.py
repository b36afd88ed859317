"""What the commands about any account's jobs share: a job's records, or its archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cli.service.account_options import use_store

if TYPE_CHECKING:
    from scheduler.objects.blobs import BlobStore
    from scheduler.records.database import Connection, Database
    from scheduler.service.operators.job_record import JobRecord


def recorded(state_dir: Path | None, objects: Path | None, job: str) -> JobRecord:
    """Everything about the job that a word stands for. Raises `Problem`."""

    async def use(db: Database, blobs: BlobStore) -> JobRecord:
        from scheduler.service.operators.find_job import find_job
        from scheduler.service.operators.job_record import load_record

        def read(c: Connection) -> JobRecord:
            return load_record(c, blobs, find_job(c, job))

        return await db.read(read)

    return use_store(state_dir, objects, use)
