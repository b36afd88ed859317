"""The verdict on a finished attempt: one table, first matching row wins.

The order of the rows is the contract: system failures come before user failures, a changed input before
anything else that the task did, a core dump before a signal, a signal before an exit code. A cap that ended
the task outranks the signal or exit code by which the task noticed; a file that outgrew the disk cap even
dumps core. A process that the memory cap killed fails the task as a core dump does, even if the script exits
with 0: its output lacks what that process would have printed. An exit code that the script chose itself
(`big-program || exit 3`) stands, and a suffix mentions the cap. A task that exits with 0 although some of its
outputs were refused fails: its outputs are incomplete.

The message about a cap says how large it is, and which value of the phase raises it:
`user task ran out of memory: its cap is 128 MB ("memory": 256 is more)`.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from scheduler.model.errors import JobErrorCode
from scheduler.model.operations.reasons import AbortReason
from scheduler.model.tiers import DEFAULT_DISK_GB, DEFAULT_MEMORY_MB, DISK_GB, MEMORY_MB
from scheduler.model.wire import Outcome

OUT_OF_MEMORY = "user task ran out of memory"
OUT_OF_DISK = "user task ran out of local disk space"
FULL_MACHINE = f"{OUT_OF_DISK}: the machine's disk is full, and this task had written most"
DISK_IS_FULL = "internal error: the machine's disk is full"
CHANGED_INPUT = "user task changed its input file"
DUMPED_CORE = "user command or child process dumped core"
INTERNAL = "internal error"
FETCH_FAILED = "error fetching inputs"
LOAD_FAILED = "failed to load object"
NO_IMAGE = "failed to dispatch task: requested image is not available"
INIT_FAILED_BEFORE = "task aborted because a previous task failed to initialize (see other errors for details)"
MEMORY_WARNING = " (WARNING: ran out of memory during execution)"
RAN_LONG = 'user task ran longer than it may ("timeout": {} seconds)'
PLACE_WARNING = (
    " (WARNING: input file was mapped at an unusual location because the object name was too long)"  # as documented
)


class Stop(Enum):
    """The reason why the agent ended an attempt that had not ended by itself."""

    MEMORY = auto()  # the measured memory cap
    DISK = auto()  # the counted disk cap
    TIMEOUT = auto()  # the phase's timeout
    FULL = auto()  # the machine's disk is full, and it has written most
    CROWDED = auto()  # it ended badly while other tasks had filled the machine's disk
    FETCH = auto()  # a source of a reducer's input is gone
    LOST = auto()  # its instance died
    CANCEL = auto()  # it is not needed any more: no report


@dataclass(frozen=True, slots=True)
class Ending:
    """All facts about an attempt's end."""

    status: int = 0  # as from waitpid(2)
    core: bool = False
    core_signal: int | None = None  # the signal that dumped core, if the core file tells
    setup_failed: bool = False  # it never started
    unsaved: int = 0  # errno of a failed write of its output to the file; then `status` is meaningless
    stop: Stop | None = None
    memory_killed: bool = False  # the kernel enforced the memory cap while it ran
    disk_full: bool = False  # the instance's disk was full, while it ran or when it ended
    input_changed: bool = False  # the task could change its input, since it ran as our user, and did
    unusual_place: bool = False  # the input file's name had to be shortened
    init: bool = False  # the pool's init script, not a task
    excess: str | None = None  # the bound of outputs that the task was refused to exceed
    memory_mb: int = DEFAULT_MEMORY_MB  # the caps of its phase
    disk_gb: int = DEFAULT_DISK_GB
    timeout_s: int | None = None

    @property
    def exit_code(self) -> int | None:
        return os.waitstatus_to_exitcode(self.status) if os.WIFEXITED(self.status) else None

    @property
    def signal(self) -> int | None:
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None

    def died_by(self, number: int) -> bool:
        """Whether it died by this signal, itself or as a shell reports it of its last child."""
        return self.signal == number or self.exit_code == 128 + number


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of an attempt, with the code and message of its error if it failed.

    `reason`: why it was lost, for the record of an operation's attempts.
    """

    outcome: Outcome
    code: str | None = None
    message: str | None = None
    reason: AbortReason | None = None


OK = Verdict(Outcome.OK)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Rule = tuple[Callable[[Ending], bool], Callable[[Ending], str]]

Loss = tuple[JobErrorCode, str, AbortReason]
SYSTEM_RULES: tuple[tuple[Callable[[Ending], bool], Loss], ...] = (
    (
        lambda end: end.stop is Stop.CROWDED,
        (JobErrorCode.INTERNAL, DISK_IS_FULL, AbortReason.RESOURCE_OVERDRAFT),
    ),
    (
        lambda end: end.setup_failed or end.stop is Stop.LOST,
        (JobErrorCode.INTERNAL, INTERNAL, AbortReason.OTHER),
    ),
    (
        lambda end: end.unsaved not in (0, *NO_ROOM),
        (JobErrorCode.INTERNAL, INTERNAL, AbortReason.FAILED_CHUNKS),
    ),
    (
        lambda end: end.stop is Stop.FETCH,
        (JobErrorCode.SERVICE_UNAVAILABLE, FETCH_FAILED, AbortReason.FAILED_CHUNKS),
    ),
)

USER_RULES: tuple[Rule, ...] = (
    (lambda end: end.input_changed, lambda _: CHANGED_INPUT),
    (lambda end: end.core_signal == signal.SIGXFSZ, lambda _: OUT_OF_DISK),
    (lambda end: end.core and not end.died_by(signal.SIGXFSZ), lambda _: DUMPED_CORE),
    (lambda end: end.stop is Stop.MEMORY, lambda _: OUT_OF_MEMORY),
    (lambda end: end.stop is Stop.DISK, lambda _: OUT_OF_DISK),
    (lambda end: end.stop is Stop.FULL, lambda _: FULL_MACHINE),
    (lambda end: end.stop is Stop.TIMEOUT, lambda end: RAN_LONG.format(end.timeout_s)),
    (lambda end: end.memory_killed and (end.status == 0 or end.died_by(signal.SIGKILL)), lambda _: OUT_OF_MEMORY),
    (lambda end: end.died_by(signal.SIGXFSZ), lambda _: OUT_OF_DISK),
    (lambda end: end.unsaved != 0 or (end.disk_full and end.status != 0), lambda _: OUT_OF_DISK),
    (lambda end: end.signal is not None, lambda end: f"user command terminated by {signal_name(end.signal or 0)}"),
    (lambda end: end.exit_code != 0, lambda end: f"user command exited with code {end.exit_code}"),
    (lambda end: end.excess is not None, lambda end: f"user task emitted more than {end.excess}"),
)


def judge(end: Ending) -> Verdict:
    """The outcome of an attempt, with the code and sentence of its error record if it has one."""
    for applies, (code, text, reason) in SYSTEM_RULES:
        if applies(end):
            return Verdict(Outcome.LOST, code.value, text, reason)
    for matches, sentence in USER_RULES:
        if matches(end):
            return Verdict(Outcome.FAILED, code_of(end).value, sentence(end) + remarks(end, sentence(end)))
    return OK


def code_of(end: Ending) -> JobErrorCode:
    if end.init:
        return JobErrorCode.TASK_INIT
    return JobErrorCode.TASK_TIMEOUT if end.stop is Stop.TIMEOUT else JobErrorCode.USER_TASK


def remarks(end: Ending, sentence: str) -> str:
    """The warnings that follow a sentence, and the cap that it is about."""
    warned = MEMORY_WARNING if end.memory_killed and sentence != OUT_OF_MEMORY else ""
    place = PLACE_WARNING if end.unusual_place else ""
    if warned or sentence == OUT_OF_MEMORY:
        return warned + place + cap("memory", end.memory_mb, "MB", MEMORY_MB)
    return place + (cap("disk", end.disk_gb, "GB", DISK_GB) if sentence == OUT_OF_DISK else "")


def cap(name: str, size: int, unit: str, tiers: Sequence[int]) -> str:
    """The size of a cap of a phase, and the next tier."""
    larger = next((f'"{name}": {tier} is more' for tier in tiers if tier > size), "there is no larger one")
    return f": its cap is {size} {unit} ({larger})"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal between the named first and last
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
