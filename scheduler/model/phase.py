"""A phase of a job, as the scheduler uses it: a command, and the instances in which it runs.

Users write the phases of a pipeline; those of an operation, its stages, come from its document (`model.operations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from scheduler.model.tiers import DEFAULT_DISK_GB, DEFAULT_MEMORY_MB


@dataclass(frozen=True, slots=True)
class PhaseSpec:
    """One phase. `reducers` is 0 for a map phase."""

    exec: str
    reducers: int = 0
    init: str | None = None
    assets: tuple[str, ...] = ()
    memory_mb: int = DEFAULT_MEMORY_MB
    disk_gb: int = DEFAULT_DISK_GB
    image: str = "*"  # a range of versions
    timeout_s: int | None = None  # the longest time that a task may run
    retries: int = 0  # how often a failed task is retried
    sliced: bool = False  # its tasks read slices of objects
    ends_lines: bool = False  # an object whose last line has no newline does not run into the next one
    counting: bool = False  # agents only count the lines of what its tasks read
    headed: bool = False  # objects begin with a line that its tasks do not read
    zero: bool = False  # lines end in NUL
    bounds_lines: bool = False  # our tools read the lines of objects, and take no line that is too long
    divides: bool = False  # its tasks leave shuffle files
    partitioned: bool = False  # its tasks read partitions of shuffle files
    merges: bool = False  # its tasks read their range of keys of all inputs, which are sorted, each as a file
    joins: bool = False  # its task reads all outputs of the stage before
    bordered: bool = False  # its tasks divide lines, or are divided, by the borders of a sample, which are an asset
    piped: bool = False  # its tasks print much: into pipes, so that it is hashed while they do
    keeps_on_node: bool = True  # what it leaves for the next phase lies on its node, and is made again if that is lost

    @classmethod
    def of_script(cls, script: Mapping[str, Any], **more: Any) -> Self:
        """The phase that runs a script, as a checked document describes it (`checks.SCRIPT`)."""
        return cls(
            exec=script["exec"],
            init=script.get("init") or None,
            assets=tuple(script.get("assets", ())),
            memory_mb=int(script.get("memory", DEFAULT_MEMORY_MB)),
            disk_gb=int(script.get("disk", DEFAULT_DISK_GB)),
            image=script.get("image", "*"),
            timeout_s=script.get("timeout"),
            **more,
        )

    @property
    def reduce(self) -> bool:
        return self.reducers > 0

    @property
    def fed(self) -> bool:
        """Whether its tasks read many inputs as one: a row for each input, poured into a pipe."""
        return self.reduce or self.sliced

    @property
    def blocking(self) -> bool:
        """Whether its tasks may wait for other tasks of the job: those that make their input, or make it again."""
        return self.reduce or self.partitioned
