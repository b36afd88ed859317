"""One lackey with its work directory, for tests: run scripts in it and see what comes of them."""

from __future__ import annotations

import functools
import itertools
import os
import resource
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from datapath import libexec
from datapath.passing import (
    Channel,
    Done,
    Kind,
    Message,
    Ready,
    Slot,
    decode_done,
    decode_ready,
    encode_environment,
    pair,
)

SECONDS = 20  # far more than anything here takes
UID_BASE = 0x70000000
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root"}


class Outcome(NamedTuple):
    done: Done
    stdout: str
    stderr: str

    @property
    def code(self) -> int:
        return os.waitstatus_to_exitcode(self.done.status)


class Mode(NamedTuple):
    """How a lackey is started: its --isolation, and as which user (None: ours)."""

    isolation: str
    user: int | None = None

    @property
    def owner(self) -> int:
        """Who owns what tasks may write."""
        if os.geteuid() == 0 and self.isolation == "namespaces" and self.user is None:
            return UID_BASE
        return os.geteuid() if self.user is None else self.user

    def __str__(self) -> str:
        return self.isolation if self.user is None else f"{self.isolation}-unprivileged"


NOBODY = 65534
AS_ROOT = [Mode("namespaces"), Mode("namespaces", NOBODY), Mode("subreaper"), Mode("subreaper", NOBODY)]
MODES = AS_ROOT if os.geteuid() == 0 else [Mode("namespaces"), Mode("subreaper")]
NAMESPACES = [mode for mode in MODES if mode.isolation == "namespaces"]


class Instance:
    """A running lackey. Its directory, and the files that tasks write to, lie below a fresh directory of its own."""

    def __init__(self, mode: Mode, options: tuple[str, ...] = (), base: Path | None = None) -> None:
        """`base` is that of another instance, whose work directory is to be used again."""
        self.mode = mode
        self.base = base or Path(tempfile.mkdtemp(prefix="lackey-"))
        self.work = self.base / "work"
        if base is None:
            self._make_directories()
        self._numbers = itertools.count(1)
        self.channel, theirs = pair()
        self.process = self._start(theirs, options)
        os.close(theirs)
        try:
            message = self.expect(Kind.READY)
            for fd in message.fds:
                os.close(fd)
            self.ready: Ready = decode_ready(message.payload)
        except BaseException:
            self.channel.close()
            if base is None:
                shutil.rmtree(self.base)
            raise
        self.channel.send(Kind.ENV, payload=encode_environment(ENVIRONMENT))

    def _make_directories(self) -> None:
        self.base.chmod(0o711)  # other users reach the work directory
        for directory in (self.work, self.work / "input"):
            directory.mkdir()
            if self.mode.user is not None:
                os.chown(directory, self.mode.user, self.mode.user)

    def _start(self, sock: int, options: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [str(libexec("lackey")), f"--socket={sock}", f"--work={self.work}"]
        command.append(f"--isolation={self.mode.isolation}")
        if os.geteuid() == 0 and self.mode.user is None:
            command.append(f"--uid={UID_BASE}")
        user = self.mode.user
        return subprocess.Popen(
            [*command, *options],
            pass_fds=[sock],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )

    def expect(self, kind: Kind) -> Message:
        message = receive(self.channel)
        assert message is not None, f"lackey has gone: {self.process.communicate(timeout=SECONDS)[1]!r}"
        assert message.kind == kind
        return message

    def submit(
        self,
        script: str,
        stdin: int | None = None,
        environment: Mapping[str, str] | None = None,
        stdout: int | None = None,
        flags: int = 0,
    ) -> int:
        """Queue a task; its number. Input is /dev/null and output a file, unless they are given."""
        self.channel.send(Kind.SCRIPT, flags=Slot.EXEC | flags, payload=script.encode())
        return self.submit_again(stdin, environment, stdout)

    def submit_again(
        self, stdin: int | None = None, environment: Mapping[str, str] | None = None, stdout: int | None = None
    ) -> int:
        task = next(self._numbers)
        fds = [
            os.open("/dev/null", os.O_RDONLY) if stdin is None else os.dup(stdin),
            self._output(f"{task}.out"),
            self._output(f"{task}.err"),
        ]
        if stdout is not None:
            os.dup2(stdout, fds[1])
        self.channel.send(Kind.RUN, task=task, payload=encode_environment(environment or {}), fds=fds)
        for fd in fds:
            os.close(fd)
        return task

    def _output(self, name: str) -> int:
        fd = os.open(self.base / name, os.O_WRONLY | os.O_CREAT, 0o600)
        os.fchown(fd, self.mode.owner, -1)
        return fd

    def submit_until_running(self, script: str, flags: int = 0) -> int:
        """Queue a script that says `running`, and return its number when it has said so."""
        reader, writer = os.pipe()
        task = self.submit(script, stdout=writer, flags=flags)
        os.close(writer)
        readable, _, _ = select.select([reader], [], [], SECONDS)
        assert readable
        assert os.read(reader, 100) == b"running\n"
        os.close(reader)
        return task

    def result(self) -> tuple[int, Outcome]:
        message = self.expect(Kind.DONE)
        out, err = ((self.base / f"{message.task}.{which}").read_text(errors="replace") for which in ("out", "err"))
        return message.task, Outcome(decode_done(message.payload), out, err)

    def run(
        self,
        script: str,
        stdin: int | None = None,
        environment: Mapping[str, str] | None = None,
        flags: int = 0,
    ) -> Outcome:
        task = self.submit(script, stdin, environment, flags=flags)
        ended, outcome = self.result()
        assert ended == task
        return outcome

    def link_input(self, name: str, content: bytes) -> Path:
        """A blob as an agent makes it, owned by the agent's user, linked below `input`."""
        blob = self.base / f"blob-{name}"
        blob.write_bytes(content)
        blob.chmod(0o444)
        if self.mode.user is not None:
            os.chown(blob, self.mode.user, self.mode.user)
        os.link(blob, self.work / "input" / name)
        return blob

    def close(self) -> None:
        """End it; nothing of it is left afterwards."""
        self.channel.close()
        self.process.communicate(timeout=SECONDS)
        shutil.rmtree(self.base)


@functools.cache
def refusal(mode: Mode) -> str:
    """Why the kernel does not give this mode, or an empty string."""
    if mode.isolation == "subreaper":
        return ""
    instance = Instance(mode._replace(isolation="auto"))
    instance.close()
    return instance.ready.why


def skip_if_refused(mode: Mode) -> None:
    if why := refusal(mode):
        pytest.skip(f"the kernel refuses namespaces: {why}")


@functools.cache
def no_core_files() -> str:
    """Why a process that dumps core leaves no file in its directory here, or an empty string."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith(("|", "/")) or not pattern.startswith("core"):
        return f"core files go elsewhere: kernel.core_pattern is {pattern}"
    return "" if resource.getrlimit(resource.RLIMIT_CORE)[1] else "core files are not allowed: ulimit -H -c is 0"


needs_core_files = pytest.mark.skipif(bool(no_core_files()), reason=no_core_files())


def receive(channel: Channel) -> Message | None:
    readable, _, _ = select.select([channel], [], [], SECONDS)
    assert readable, "no packet came in time"
    return channel.receive()


def wait_gone(pid: int) -> None:
    """Return when a process that is not our child is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        readable, _, _ = select.select([handle], [], [], SECONDS)
        assert readable, f"process {pid} lives"
    finally:
        os.close(handle)


def processes_with(marker: str) -> list[int]:
    """Processes of the machine whose command line holds `marker`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if marker.encode() in command:
                found.append(int(entry.name))
    return found


def unique_seconds() -> str:
    """An argument for sleep(1) that no other process has."""
    return f"1000.{os.getpid()}{time.monotonic_ns()}"
