"""One lackey with its work directory, for tests: run scripts in it and see what comes of them."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

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


class Instance:
    """`isolation` is the lackey's option; `user` makes it start as that user instead of ours."""

    def __init__(self, base: Path, isolation: str, options: tuple[str, ...] = (), user: int | None = None) -> None:
        self.work = base / "work"
        self.work.mkdir()
        (self.work / "input").mkdir()
        if user is not None:
            os.chown(self.work, user, user)
            os.chown(self.work / "input", user, user)
        self.outputs = base
        self._numbers = itertools.count(1)
        self.channel, theirs = pair()
        command = [str(libexec("lackey")), f"--socket={theirs}", f"--work={self.work}", f"--isolation={isolation}"]
        if os.geteuid() == 0 and user is None:
            command.append(f"--uid={UID_BASE}")
        self.process = subprocess.Popen(
            [*command, *options],
            pass_fds=[theirs],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        os.close(theirs)
        self.ready: Ready = decode_ready(self.expect(Kind.READY).payload)
        self.channel.send(Kind.ENV, payload=encode_environment(ENVIRONMENT))

    def expect(self, kind: Kind) -> Message:
        message = receive(self.channel)
        assert message is not None, f"lackey has gone: {self.process.communicate(timeout=SECONDS)[1]!r}"
        assert message.kind == kind
        return message

    def submit(self, script: str, stdin: int | None = None, environment: Mapping[str, str] | None = None) -> int:
        """Queue a task; its number."""
        self.channel.send(Kind.SCRIPT, flags=Slot.EXEC, payload=script.encode())
        return self.submit_again(stdin, environment)

    def submit_again(self, stdin: int | None = None, environment: Mapping[str, str] | None = None) -> int:
        task = next(self._numbers)
        fds = [
            os.open("/dev/null", os.O_RDONLY) if stdin is None else os.dup(stdin),
            os.open(self.outputs / f"{task}.out", os.O_WRONLY | os.O_CREAT, 0o600),
            os.open(self.outputs / f"{task}.err", os.O_WRONLY | os.O_CREAT, 0o600),
        ]
        self.channel.send(Kind.RUN, task=task, payload=encode_environment(environment or {}), fds=fds)
        for fd in fds:
            os.close(fd)
        return task

    def result(self) -> tuple[int, Outcome]:
        message = self.expect(Kind.DONE)
        out, err = (
            (self.outputs / f"{message.task}.{which}").read_text(errors="replace")
            if (self.outputs / f"{message.task}.{which}").exists()
            else ""
            for which in ("out", "err")
        )
        return message.task, Outcome(decode_done(message.payload), out, err)

    def run(self, script: str, stdin: int | None = None, environment: Mapping[str, str] | None = None) -> Outcome:
        task = self.submit(script, stdin, environment)
        ended, outcome = self.result()
        assert ended == task
        return outcome

    def link_input(self, name: str, content: bytes) -> Path:
        """A file as the agent makes inputs: immutable by mode, linked below `input`."""
        blob = self.outputs / f"blob-{name}"
        blob.write_bytes(content)
        os.chown(blob, self.work.stat().st_uid if self.process_user else 0, -1) if os.geteuid() == 0 else None
        blob.chmod(0o444)
        os.link(blob, self.work / "input" / name)
        return blob

    @property
    def process_user(self) -> int:
        return (self.work / "input").stat().st_uid

    def close(self) -> None:
        """End it; nothing of it is left afterwards."""
        self.channel.close()
        assert self.process.wait(SECONDS) is not None
        assert self.process.stderr is not None
        self.process.stderr.close()
        shutil.rmtree(self.work)


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
