"""Names of what tasks leave behind: their outputs, what they print on stderr, and their core files."""

from __future__ import annotations

from scheduler.common.ids import new_id
from scheduler.model import naming
from scheduler.model.wire import PoolSpec, TaskLease

MAX_CORE_NAME = 64


def output_base(spec: PoolSpec, lease: TaskLease) -> str:
    return naming.output_base(spec.login, spec.job, lease.base, spec.phase)


def stdout(spec: PoolSpec, lease: TaskLease) -> str:
    return naming.stdout_name(spec.login, spec.job, lease.base, spec.phase, lease.uuid)


def stderr(spec: PoolSpec, lease: TaskLease) -> str:
    """Attempts at a task of an operation have a name for each: more than one may be kept."""
    task = lease.uuid if spec.operation is None else f"{lease.uuid}.{lease.attempt}"
    return naming.stderr_name(spec.login, spec.job, lease.base, spec.phase, task)


def core(spec: PoolSpec, program: str) -> str:
    safe = "".join(c if c.isalnum() or c in "-_.+" else "_" for c in program[:MAX_CORE_NAME]) or "unknown"
    return naming.core_name(spec.login, spec.job, spec.phase, safe, new_id())
