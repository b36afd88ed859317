"""Which users of the machine the instances of an agent are mapped to.

An instance has 65536 users of its own, so that an instance is nobody in another. All agents of a machine
take them from one space, far above the users of people. So the space is cut into *ranges*, each for 64 instances,
and an agent that runs as root claims ranges in a registry of the machine, for as long as it lives:

    /run/remora/users/3     range 3: locked by the agent that has it; its state directory, and which of its ranges

The lock is the claim: the kernel lets go of it when an agent is killed, and the file says whose range it
was. An agent that starts again takes its own ranges, since containers may have outlived it. A range that nobody
locks is taken by another agent only if no process of the machine is one of its users: so what a killed agent left,
or one of an earlier release that knows no registry, is never met by instances of another.

Agents that cannot see each other's processes or `/run`, in containers that share a kernel, are not kept apart by
this: give each a user namespace of its own.

Example: a first service has range 0, users from 0x60000000; a second one on the same machine range 1,
users from 0x60400000. The second is killed; a third takes range 2 or, when no process of range 1 is left, that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

USERS = 65536  # of an instance
INSTANCES = 64  # of a range
# Far above the users of any machine, and below the sign bit, which some programs mind.
FIRST_USER = 0x60000000
RANGES = (0x7FFF0000 - FIRST_USER) // (USERS * INSTANCES)
REGISTRY = Path("/run/remora/users")


class UserRanges:
    """Those of one agent, which has the state directory to itself. Not root: there are none to be had."""

    def __init__(self, state_dir: Path, registry: Path = REGISTRY) -> None:
        self._owner = os.fsencode(state_dir)
        self._registry = registry
        self._claims: list[tuple[int, int]] = []  # range and lock

    def first_user(self, number: int) -> int:
        """The first user of instance `number`, which is ours until `close`. Raises OSError."""
        while len(self._claims) <= number // INSTANCES:
            self._claims.append(self._claim(b"%s\n%d" % (self._owner, len(self._claims))))
        return user_of(self._claims[number // INSTANCES][0], number % INSTANCES)

    def close(self) -> None:
        """No instance is left: others may have the ranges at once."""
        for number, lock in self._claims:
            with contextlib.suppress(OSError):
                (self._registry / str(number)).unlink()
            os.close(lock)
        self._claims.clear()

    def _claim(self, entry: bytes) -> tuple[int, int]:
        self._registry.mkdir(mode=0o755, parents=True, exist_ok=True)
        recorded = dict(self._recorded())
        busy = None
        for number in sorted(range(RANGES), key=lambda number: preference(recorded.get(number), entry)):
            if (lock := self._lock(number)) is None:
                continue
            if recorded.get(number) != entry:
                busy = users_in_use() if busy is None else busy
                if any(user in range_of(number) for user in busy):
                    os.close(lock)
                    continue
                os.ftruncate(lock, 0)
                os.pwrite(lock, entry, 0)
            return number, lock
        raise OSError(f"other services have all users for instances, see {self._registry}")

    def _recorded(self) -> Iterator[tuple[int, bytes]]:
        for number in range(RANGES):
            with contextlib.suppress(OSError):
                yield number, (self._registry / str(number)).read_bytes()

    def _lock(self, number: int) -> int | None:
        """A descriptor with the lock of a range; None if somebody has it, this agent included."""
        path = self._registry / str(number)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(path)):  # or it was removed meanwhile, and is another by now
                return lock
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(lock)
        return None


def preference(recorded: bytes | None, entry: bytes) -> int:
    """Our own range comes first, then those that were never claimed or were given back."""
    return 0 if recorded == entry else 2 if recorded else 1


def user_of(number: int, instance: int) -> int:
    return FIRST_USER + (number * INSTANCES + instance) * USERS


def range_of(number: int) -> range:
    return range(user_of(number, 0), user_of(number + 1, 0))


def users_in_use() -> set[int]:
    """Users above `FIRST_USER` of all processes of the machine."""
    found: set[int] = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry.name}/status", "rb") as file:
                for line in file:
                    if line.startswith(b"Uid:"):
                        found.update(map(int, line.split()[1:]))
    return {user for user in found if user >= FIRST_USER}
