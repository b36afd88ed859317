"""What an attempt's end amounts to, row by row."""

from __future__ import annotations

import errno
import signal

import pytest

from scheduler.agent.attempts.verdict import Ending, Stop, judge
from scheduler.model.wire import Outcome
from tests.support.nodes.caps import of_memory, out_of_disk, out_of_memory

MEMORY = out_of_memory(1024, 2048)
DISK = out_of_disk(8, 16)
CHANGED = "user task changed its input file"
CORE = "user command or child process dumped core"
RAN_OUT = " (WARNING: ran out of memory during execution)"
CAP = of_memory(1024, 2048)
PLACE = " (WARNING: input file was mapped at an unusual location because the object name was too long)"


def exited(code: int) -> int:
    return code << 8


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (Ending(exited(1)), "user command exited with code 1"),
        (Ending(exited(255)), "user command exited with code 255"),
        (Ending(signal.SIGTERM), "user command terminated by SIGTERM"),
        (Ending(signal.SIGKILL), "user command terminated by SIGKILL"),
        (Ending(40), "user command terminated by SIGRTMIN+6"),
        (Ending(signal.SIGSEGV, core=True), CORE),
        (Ending(exited(0), core=True), CORE),
        (Ending(signal.SIGKILL, memory_killed=True), MEMORY),
        (Ending(exited(137), memory_killed=True), MEMORY),
        (Ending(exited(0), memory_killed=True), MEMORY),
        (Ending(exited(0), memory_killed=True, core=True), CORE + RAN_OUT + CAP),
        (Ending(exited(137)), "user command exited with code 137"),
        (Ending(exited(3), memory_killed=True), "user command exited with code 3" + RAN_OUT + CAP),
        (Ending(signal.SIGSEGV, core=True, memory_killed=True), CORE + RAN_OUT + CAP),
        (Ending(signal.SIGKILL, stop=Stop.MEMORY), MEMORY),
        (Ending(signal.SIGKILL, stop=Stop.DISK), DISK),
        (Ending(signal.SIGKILL, stop=Stop.DISK, core=True), CORE),
        (Ending(exited(0), input_changed=True), CHANGED),
        (Ending(signal.SIGSEGV, core=True, input_changed=True), CHANGED),
        (Ending(signal.SIGXFSZ), DISK),
        (Ending(signal.SIGXFSZ | 0x80, core=True), DISK),
        (Ending(exited(153)), DISK),
        (Ending(exited(1), disk_full=True), DISK),
        (Ending(signal.SIGKILL, disk_full=True, memory_killed=True), MEMORY),
        *((Ending(number, unsaved=number), DISK) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
        (Ending(signal.SIGKILL, core=True, core_signal=signal.SIGXFSZ), DISK),
        (Ending(signal.SIGKILL, stop=Stop.MEMORY, memory_mb=128), out_of_memory(128, 256)),
        (
            Ending(signal.SIGKILL, stop=Stop.MEMORY, memory_mb=8192),
            f"{MEMORY.partition(':')[0]}: its cap is 8192 MB (there is no larger one)",
        ),
        (Ending(signal.SIGKILL, stop=Stop.DISK, disk_gb=2), out_of_disk(2, 4)),
        (Ending(exited(2), unusual_place=True), "user command exited with code 2" + PLACE),
        (
            Ending(exited(2), memory_killed=True, unusual_place=True),
            "user command exited with code 2" + RAN_OUT + PLACE + CAP,
        ),
    ],
)
def test_a_user_failure_has_its_sentence(end: Ending, message: str) -> None:
    verdict = judge(end)
    assert (verdict.outcome, verdict.code, verdict.message) == (Outcome.FAILED, "UserTaskError", message)


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        (Ending(2, setup_failed=True, core=True), "InternalError", "internal error"),
        (Ending(errno.EIO, unsaved=errno.EIO), "InternalError", "internal error"),
        (Ending(stop=Stop.LOST), "InternalError", "internal error"),
        (Ending(exited(1), stop=Stop.FETCH), "ServiceUnavailableError", "error fetching inputs"),
        (Ending(exited(0), stop=Stop.FETCH), "ServiceUnavailableError", "error fetching inputs"),
        (Ending(signal.SIGKILL, stop=Stop.FETCH, core=True), "ServiceUnavailableError", "error fetching inputs"),
    ],
)
def test_what_the_system_did_comes_before_what_the_user_did_and_is_lost(end: Ending, code: str, message: str) -> None:
    verdict = judge(end)
    assert (verdict.outcome, verdict.code, verdict.message) == (Outcome.LOST, code, message)


@pytest.mark.parametrize("end", [Ending(0), Ending(0, unusual_place=True), Ending(0, disk_full=True)])
def test_status_0_is_success_if_no_process_dumped_core_or_was_killed(end: Ending) -> None:
    assert judge(end).outcome is Outcome.OK


def test_a_timeout_has_a_code_of_its_own_and_says_which_it_was() -> None:
    verdict = judge(Ending(signal.SIGKILL, stop=Stop.TIMEOUT, timeout_s=5))
    assert (verdict.outcome, verdict.code) == (Outcome.FAILED, "TaskTimeoutError")
    assert verdict.message == 'user task ran longer than it may ("timeout": 5 seconds)'


def test_an_init_script_fails_for_the_same_reasons_under_its_own_code() -> None:
    verdict = judge(Ending(exited(9), init=True))
    assert (verdict.code, verdict.message) == ("TaskInitError", "user command exited with code 9")
