"""Subordinate ids: the users of instances where an ordinary user runs the service.

The machine's administrator gives a user ids besides its own, in /etc/subuid and /etc/subgid (`useradd` does so on most
distributions). Two programs with root's rights, newuidmap and newgidmap, map them into a user namespace of that user.
The agent has one such namespace: user 0 of it is the agent's own user, and users 1 ... 65535 are subordinate ids.
Four consequences follow:

- `chown`, `cp -a`, `su` and archives with other owners work in tasks, exactly as where root runs the
  service.
- The map is made once for an agent, and each instance enters the namespace (`--users` of the lackey): so it costs
  an instance nothing.
- To the machine, user 0 of every instance is still the agent's user, and all instances have the same other users.
  Namespaces alone keep instances from each other, as they do where there are no subordinate ids. So two agents of one
  user may share them, too; no other user of the machine has them.
- The agent cannot list or remove a directory whose mode is private to one of these users, nor see the open files
  of their processes. It has all privileges over them, but only inside the namespace: so a program is run there
  (`command`).

Without a namespace of 65536 users (no such entry, or no newuidmap) root is the only user of an instance.

Example: jill, user 1000, has `jill:100000:65536` in both files. A task unpacks a file of user 1000; outside it belongs
to 100999, and the agent removes it by `nsenter --user=... rm -rf instances/3`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

from scheduler.common import child
from scheduler.providers.linux.user_namespace import user_namespace
from scheduler.providers.linux.user_ranges import USERS

FILES = (Path("/etc/subuid"), Path("/etc/subgid"))
PROGRAMS = ("newuidmap", "newgidmap")
OTHERS = USERS - 1  # all but user 0
log = logging.getLogger("remora.agent")


class NoSubordinateUsersError(Exception):
    """There are no subordinate ids; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """The part of an `os.stat_result` that find(1) prints; the mode is the type alone, of files and sockets."""

    st_dev: int
    st_ino: int
    st_nlink: int
    st_blocks: int
    st_mode: int


PRINTED = r"%D %i %n %b %y\n"
KINDS = {b"f": stat.S_IFREG, b"s": stat.S_IFSOCK}


@dataclass(frozen=True, slots=True)
class SubordinateUsers:
    """The subordinate users of one agent.

    `namespace` is a descriptor of the user namespace, `first` the id of its user 1 outside.
    """

    namespace: int
    first: int

    @property
    def place(self) -> str:
        """The path of the namespace, for programs of this user."""
        return f"/proc/{os.getpid()}/fd/{self.namespace}"

    def __contains__(self, user: int) -> bool:
        return self.first <= user < self.first + OTHERS

    def command(self, *words: child.Word) -> list[child.Word]:
        """The command that runs a program as root of the namespace, whose descriptor must be passed to it."""
        return ["nsenter", f"--user=/proc/self/fd/{self.namespace}", *words]

    def of(self, pids: Iterable[int]) -> list[int]:
        """The processes among these that run as subordinate users."""
        found = []
        for pid in pids:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if os.stat(f"/proc/{pid}").st_uid in self:
                    found.append(pid)
        return found

    def lines(self, *words: child.Word, cwd: Path = Path("/")) -> Generator[bytes, None, None]:
        """The output of a program as root of the namespace; it is ended when no more is read. Raises OSError."""
        command, passed = self.command(*words), [self.namespace]
        with child.start(command, cwd=cwd, stdout=PIPE, stderr=DEVNULL, pass_fds=passed) as process:
            assert process.stdout is not None
            try:
                yield from process.stdout
            finally:
                process.kill()

    def opened(self, pids: Sequence[int]) -> Iterator[OpenFile]:
        """The files that processes of these users have open, which only root of the namespace can list.

        Raises OSError.
        """
        if not pids:
            return
        places = [f"/proc/{pid}/fd" for pid in pids]
        for line in self.lines("find", "-L", *places, "-mindepth", "1", "-maxdepth", "1", "-printf", PRINTED):
            device, inode, names, blocks, kind = line.split()
            yield OpenFile(int(device), int(inode), int(names), int(blocks), KINDS.get(kind, 0))

    def have_socket(self, pids: Iterable[int], inode: int) -> bool:
        """Whether one of these processes has this socket open. Raises OSError."""
        return any(file.st_ino == inode and stat.S_ISSOCK(file.st_mode) for file in self.opened(self.of(pids)))

    def close(self) -> None:
        os.close(self.namespace)


def subordinate_users() -> SubordinateUsers | None:
    """The subordinate users of an agent that starts; None if there are none, with the reason in the log."""
    try:
        return make()
    except NoSubordinateUsersError as error:
        log.info("instances have no user but root", extra={"why": str(error)})
        return None


def make() -> SubordinateUsers:
    """Make the user namespace. Raises NoSubordinateUsersError."""
    user, group = os.geteuid(), os.getegid()
    users, groups = (first_of(path, user) for path in FILES)

    def write_maps(pid: int) -> None:
        for program, own, first in zip(PROGRAMS, (user, group), (users, groups), strict=True):
            write_map(program, pid, own, first)

    try:
        return SubordinateUsers(user_namespace(write_maps), users)
    except OSError as error:
        raise NoSubordinateUsersError(str(error)) from error


def write_map(program: str, pid: int, own: int, first: int) -> None:
    """Map the users (or groups) of a process by newuidmap or newgidmap. Raises OSError, NoSubordinateUsersError."""
    if (path := child.find(program)) is None:
        raise NoSubordinateUsersError(f"{program} is not installed (Debian: apt-get install uidmap)")
    words = map(str, (pid, 0, own, 1, 1, first, OTHERS))
    done = child.run([path, *words], capture_output=True, text=True)
    if done.returncode:
        raise NoSubordinateUsersError(done.stderr.strip() or f"{program} ended with status {done.returncode}")


def first_of(path: Path, user: int) -> int:
    """The first id of a user's block that is large enough. Raises NoSubordinateUsersError."""
    for first, count in blocks(path, user):
        if count >= OTHERS:
            return first
    raise NoSubordinateUsersError(f"{path} gives this user no {USERS} ids")


def blocks(path: Path, user: int) -> Iterator[tuple[int, int]]:
    """The first id and the number of ids of each block that a file gives to a user, by its name or number."""
    names, text = {str(user)}, ""
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(user).pw_name)
    with contextlib.suppress(OSError):
        text = path.read_text(errors="replace")
    for name, *numbers in (line.strip().split(":") for line in text.splitlines()):
        if name in names and len(numbers) == 2 and all(number.isdecimal() for number in numbers):
            yield int(numbers[0]), int(numbers[1])
