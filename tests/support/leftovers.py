"""What a service may not leave behind: processes, mounts, cgroups, directories, blobs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests.support.services.records import database_at, rows
from tests.support.services.service import processes_with

NAMED = "SELECT etag FROM entries WHERE kind = 'o' AND size > 0"


def assert_nothing_left(state_dir: Path) -> None:
    """After the service has ended: nothing of its instances is there any more."""
    processes = processes_with(str(state_dir))
    assert not processes, f"processes are left: {processes}"
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(state_dir) in line]
    assert not mounts, f"mounts are left: {mounts}"
    directories = list((state_dir / "instances").glob("*"))
    assert not directories, f"instance directories are left: {directories}"
    owner = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
    cgroups = [at for at, _, _ in os.walk("/sys/fs/cgroup") if at.endswith(f"/remora/{owner}")]
    assert not cgroups, f"cgroups are left: {cgroups}"


def unnamed_blobs(state_dir: Path) -> list[str]:
    """Blobs that no object names. To be asked when no job is running."""
    named = {row[0] for row in rows(database_at(state_dir / "remora.db"), NAMED)}
    return [path.name for path in (state_dir / "blobs").glob("*/*") if path.name not in named]
