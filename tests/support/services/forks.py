"""Commands of ours as forks of a process that has imported all of them.

A command spends a tenth of a second, and `remora up` a whole one, to start Python and to import. A test that runs a
command wants a process: its streams, signals and exit status; how it imports is another test's matter
(`test_cli_start.py`, `test_any_command.py`). So a *fork server* imports everything once, and each command is a fork of
it, which becomes the command by `Command.become`.

- A fork gets words, environment, directory and streams of its own. What Python and our modules read while they start
  is the server's: an environment that differs in that gets a process of the usual kind.
- The server is the parent: it waits for its forks, and tells the id and then the status of each by a pipe. `Fork` is
  a `subprocess.Popen` that reads this pipe where others ask the kernel.
- The server ends when its control socket closes; its forks go on.
- The agent that `remora up` starts is a fork, too (`agent_forks.py`).

Example: `start_command("mls", "~~/stor", env=env, stdout=PIPE).communicate()`.
"""

from __future__ import annotations

import gc
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from tests.support.services import agent_forks
from tests.support.services.become import AGENT, ROOM, Command, of_request

ROOT = Path(__file__).parents[3]
# Modules that commands import only once they have something to do, and packages all of whose modules may be such.
PACKAGES = ("cli", "scheduler.records")
LAZY = ("scheduler.service.administration", "scheduler.service.run", "scheduler.service.roles",
        "scheduler.agent.process", "scheduler.providers.images.registry", "scheduler.nomad.api", "httpx", "httpcore",
        "encodings.idna", "difflib", "importlib.resources.readers", "tty", "yaml")  # fmt: skip
NUMBER = struct.Struct("i")
MAX_FDS = 16  # of a request: its text, the pipe for id and status, three streams, and what else the command keeps


def read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that Python and our modules read while they start."""
    return {name: value for name, value in env.items() if name.startswith(("PYTHON", "LC_", "LANG", "PATH"))}


# Begins a program as forks of the server begin. It is a program between, and no `preexec_fn`: that runs in a copy of
# this process, in which gRPC's threads are gone and its handlers of forks may wait for them. Without SIGINT's default
# all below a shell's background job would ignore Ctrl-C; the other two are what Python itself ignores.
BEGIN = """
import fcntl, os, signal, sys, termios
for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
try:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
except OSError:
    pass
os.execvp(sys.argv[1], sys.argv[1:])
"""


def beginning(words: Sequence[str]) -> list[str]:
    """The words that begin a program which is no fork of ours, with its terminal if its standard input is one."""
    return [sys.executable, "-IS", "-c", BEGIN, *words]


# What a command finds in its environment unless a test wants something else.
USUAL = {name: value for name, value in read_at_start(os.environ).items() if not name.startswith("PYTHON")}


def start_command(name: str, *words: str, env: Mapping[str, str], **options: Any) -> subprocess.Popen[Any]:
    """Start a command of ours, with the options of `Popen` that `Fork` knows."""
    if read_at_start(env) == USUAL:
        return Fork([name, *words], env=env, **options)
    return subprocess.Popen(beginning(command(name, *words)), env=env, **options)


def run_command(
    name: str, *words: str, env: Mapping[str, str], data: bytes = b"", seconds: float = 120, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command of ours to its end, with `data` as its standard input; what it printed and said."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start_command(name, *words, env=env, cwd=cwd, **pipes) as process:
        try:
            out, err = process.communicate(data, seconds)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess([name, *words], process.returncode, out, err)


def command(name: str, *words: str) -> list[str]:
    """A command of the project, run by this interpreter: no search on PATH, no start-up of a shell."""
    if name == AGENT:
        return [sys.executable, "-m", name, *words]
    return [sys.executable, "-c", f"from cli.main import {name}; {name}()", *words]


class Fork(subprocess.Popen[Any]):
    """A command as a fork of this process's fork server."""

    def _execute_child(self, args: list[str], _program: Any, _preexec: Any, _close: Any, pass_fds: Any, cwd: Any,
                       env: Any, _info: Any, _flags: Any, _shell: Any, *more: Any) -> None:  # fmt: skip
        pipes, own_session = more[:6], more[-2]
        streams = [number if fd < 0 else fd for number, fd in enumerate((pipes[0], pipes[3], pipes[5]))]
        self._status, theirs = os.pipe()
        directory = os.path.abspath(cwd or ".")
        text = Command(args, dict(env), directory, own_session, (0, 1, 2, *pass_fds)).request()
        try:
            ask([text, theirs, *streams, *pass_fds])
        finally:
            self._close_pipe_fds(*pipes)
            os.close(text)
            os.close(theirs)
        self.pid = self._told()
        self._child_created = True

    def _told(self) -> int:
        data = os.read(self._status, NUMBER.size)
        assert data, "the fork server has ended"
        return int(NUMBER.unpack(data)[0])

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if wait_flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        status = self._told()
        os.close(self._status)
        return self.pid, status

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                pid, status = self._try_wait(os.WNOHANG) if self.returncode is None else (0, 0)
                if pid:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


@dataclass(frozen=True)
class ForkServer:
    """The fork server of this process: its control socket, and a file with what it says of itself."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    inode: int  # of the socket
    log: IO[bytes]

    def said(self) -> str:
        self.log.seek(0)
        try:
            ours = os.fstat(self.control.fileno()).st_ino == self.inode
        except OSError:
            ours = False
        lost = "" if ours else ", after its descriptor was closed by other code"
        return f"status {self.process.wait()}, {self.log.read().decode(errors='replace')!r}{lost}"


ENDED: list[ForkServer] = []


def ask(fds: list[int]) -> None:
    """Ask the fork server for a fork. One that has ended is replaced, and a warning says what is known of it."""
    try:
        socket.send_fds(fork_server().control, [b"."], fds)
    except OSError:
        ENDED.append(fork_server())  # kept: its descriptor may be another's by now
        warnings.warn(f"the fork server has ended: {ENDED[-1].said()}", stacklevel=2)
        fork_server.cache_clear()
        socket.send_fds(fork_server().control, [b"."], fds)


@cache
def fork_server() -> ForkServer:
    """The fork server of this process, which is started for the first command."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    log = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as this process lives
    with theirs:
        process = subprocess.Popen([sys.executable, "-m", __name__, str(theirs.fileno()), ROOM], cwd=ROOT, env=USUAL,
                                   pass_fds=[theirs.fileno()], stderr=log, start_new_session=True)  # fmt: skip
    forbid_shutdown(ours)
    return ForkServer(process, ours, os.fstat(ours.fileno()).st_ino, log)


def forbid_shutdown(control: socket.socket) -> None:
    """Have code fail that shuts the control socket down because it kept the number of a descriptor of its own."""

    def shut_down(self: socket.socket, how: int) -> None:
        assert self is control or self.fileno() != control.fileno(), "this descriptor is another's by now"
        plain(self, how)

    plain = socket.socket.shutdown
    socket.socket.shutdown = shut_down  # type: ignore[method-assign]


def import_all() -> None:
    """Import whatever a command may need, in a process that forks them."""
    from cli import manual

    packages = [import_module(name) for name in PACKAGES]
    parts = (
        each.name for package in packages for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    )
    for name in (*LAZY, *parts):
        import_module(name)
    assert any(manual.pages())  # the manual is made of all commands
    gc.collect()
    gc.freeze()


def serve(control: socket.socket) -> Command:
    """Fork for each request until the control socket closes. Returns in the forks alone."""
    import_all()
    running: dict[int, int] = {}
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready = select.select([control, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            tell_ended(running)
        if control not in ready:
            continue
        data, fds, flags, _ = socket.recv_fds(control, 1, MAX_FDS)
        if not data:
            sys.exit()
        if not fds:
            sys.exit(f"a request came without descriptors, flags {flags:#x}")  # such as when this process has too many
        text, told, *given = fds
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            control.close()
            return of_request(text, given)
        os.write(told, NUMBER.pack(pid))
        running[pid] = told
        for fd in (text, *given):
            os.close(fd)


def tell_ended(running: dict[int, int]) -> None:
    """Tell the status of each fork that has ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        told = running.pop(pid)
        with suppress(BrokenPipeError):  # it may be of no interest any more
            os.write(told, NUMBER.pack(status))
        os.close(told)


if __name__ == "__main__":
    command_of_this_fork = serve(socket.socket(fileno=int(sys.argv[1])))
    if command_of_this_fork.words[:2] == ["remora", "up"]:
        agent_forks.offer()
    command_of_this_fork.become()
