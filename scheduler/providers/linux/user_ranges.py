"""The ranges of user ids to which the instances of an agent are mapped.

An instance has 65536 users of its own, which have no rights in another instance. All agents of a machine
take them from one space, far above the ids of people. The space is divided into *ranges*, each for 64 instances,
and an agent that runs as root claims ranges in a registry of the machine, for as long as it lives:

    /run/remora/users/3     range 3: locked by the agent that has it; its state directory, and which of its ranges

The lock is the claim: the kernel releases it when an agent is killed, and the file says whose range it was. An
agent that starts again takes its own ranges, since containers may have outlived it. Another agent takes an
unlocked range only if no process of the machine is one of its users: so its instances never share users with the
leftovers of a killed agent, or with those of an earlier release that knows no registry.

Agents that cannot see each other's processes or `/run`, in containers that share a kernel, are not separated by
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
# Far above the users of any machine, and below the sign bit, with which some programs have trouble.
FIRST_USER = 0x60000000
RANGES = (0x7FFF0000 - FIRST_USER) // (USERS * INSTANCES)
REGISTRY = Path("/run/remora/users")


class UserRanges:
    """The ranges of one agent, which has the state directory to itself. An agent that is not root has none."""

    def __init__(self, state_dir: Path, registry: Path = REGISTRY) -> None:
        self._owner = os.fsencode(state_dir)
        self._registry = registry
        self._claims: list[tuple[int, int]] = []  # range and lock

    def first_user(self, number: int) -> int:
        """The first user of instance `number`, which is reserved until `close`. Raises OSError."""
        while len(self._claims) <= number // INSTANCES:
            self._claims.append(self._claim(b"%s\n%d" % (self._owner, len(self._claims))))
        return user_of(self._claims[number // INSTANCES][0], number % INSTANCES)

    def close(self) -> None:
        """Release the ranges at once: no instance is left."""
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
        """A descriptor with the lock of a range; None if an agent has it, this one included."""
        path = self._registry / str(number)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # or the file was removed meanwhile, and the path is another one
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(lock)
        return None


def preference(recorded: bytes | None, entry: bytes) -> int:
    """The order of candidates: our own range first, then those that were never claimed or were given back."""
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
            with contextlib.suppress(OSError), open(f"/proc/{entry.name}/status", "rb", buffering=0) as file:
                users = file.read().partition(b"\nUid:")[2].partition(b"\n")[0]
                found.update(map(int, users.split()))
    return {user for user in found if user >= FIRST_USER}
