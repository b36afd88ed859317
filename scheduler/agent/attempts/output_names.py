"""Names of what tasks leave behind: their outputs, what they print on stderr, and their core files."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.common.ids import new_id
from scheduler.model import naming
from scheduler.model.wire import PoolSpec, TaskLease

MAX_CORE_NAME = 64


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a pool gives to the objects that one task leaves behind."""

    spec: PoolSpec
    lease: TaskLease

    @property
    def output_base(self) -> str:
        return naming.output_base(self.spec.login, self.spec.job, self.lease.base, self.spec.phase)

    @property
    def stdout(self) -> str:
        return naming.stdout_name(self.spec.login, self.spec.job, self.lease.base, self.spec.phase, self.lease.uuid)

    @property
    def stderr(self) -> str:
        """Attempts at a task of an operation have a name for each: more than one may be kept."""
        task = self.lease.uuid if self.spec.operation is None else f"{self.lease.uuid}.{self.lease.attempt}"
        return naming.stderr_name(self.spec.login, self.spec.job, self.lease.base, self.spec.phase, task)

    def core(self, program: str) -> str:
        safe = "".join(c if c.isalnum() or c in "-_.+" else "_" for c in program[:MAX_CORE_NAME]) or "unknown"
        return naming.core_name(self.spec.login, self.spec.job, self.spec.phase, safe, new_id())
