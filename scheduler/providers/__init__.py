"""Where instances come from.

An instance is a place where tasks run one after another, and all that the agent needs of
it is a *lackey* that answers on a channel, a directory on this machine that the instance
sees as its own, and a way to end it. Who made it, a fork, a container or an allocation
booked on a cluster, changes nothing else. So a provider is one function, `create`, and
this module is the whole of what agent and providers know of each other. Three things
follow:

- A cap is *enforced* by the provider where the kernel helps it, and the agent only asks
  afterwards what happened: `memory_kills`. Where the kernel does not help, the provider
  says how much is used, and the agent does the killing: `memory_used`. Disk is the same, with
  one difference: what tasks print goes into files of the agent's, and it alone can count those.
- A path means different things inside and outside. `View` holds the inside names; what the
  agent does, it does below `work`.
- Not every kernel lets us isolate. Where it does not, tasks run as our own user, see what it
  sees, and only their good will keeps them from the rest: `isolated` says which it is.
- An instance that cannot be made is an `InstanceError`: a sentence for the operator. Tasks
  never see it; they wait, or are given back.

Example: `process` makes `instances/3/`, starts a lackey in fresh namespaces whose `/manta`
is `instances/3/input` read-only, puts it in a memory cgroup of 1 GiB, and hands over the
channel. The agent links a blob to `instances/3/input/jill/stor/a`, and the task reads it at
`/manta/jill/stor/a`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from datapath.passing import Channel, Listener
from scheduler.providers.disk import File, Use
from scheduler.providers.isolation import Isolation

# Of an instance, threads included; of each of its users where only that can be had.
MAX_PROCESSES = 2048


class InstanceError(Exception):
    """An instance could not be made; the text says what was refused and by whom."""


class NoImageError(InstanceError):
    """There is no image here such as is wanted: no task that wants it can run on this node."""


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What an instance is made for: its tier in bytes, the versions that its image may have, and the one pool."""

    memory_bytes: int
    disk_bytes: int
    image: str = "*"
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the HTTP endpoint of an instance shall listen, on this machine, and how its tasks say that."""

    address: str = "127.0.0.1"
    port: int = 0  # any
    url: str | None = None  # None: as this machine does


@dataclass(frozen=True, slots=True)
class View:
    """Paths as the tasks of an instance see them."""

    home: str
    inputs: str  # objects appear below it under their own names
    tools: str
    agent_socket: str
    one_user: bool = False  # root is the only user there is: nothing can be given to another


@dataclass(frozen=True, slots=True)
class HostView:
    """What tasks see of the machine besides its programs, and what of the service they never see.

    `hide` matters where something of the service (objects, caches, credentials, keys, sockets) lies below a
    directory that is shown.
    """

    show: tuple[Path, ...] = ()
    hide: tuple[Path, ...] = ()


PROGRAMS_ONLY = HostView()


class Instance(Protocol):
    """A running lackey. Owned by whoever created it, until `destroy`."""

    @property
    def number(self) -> int:
        """Small; no other instance of this node has it until this one is gone, whatever that takes."""

    @property
    def channel(self) -> Channel:
        """The connection to the lackey, non-blocking. Closed by the peer: the instance is dead."""

    @property
    def listener(self) -> Listener:
        """Where the tools of the instance's tasks connect, listening and non-blocking."""

    @property
    def work(self) -> Path:
        """The instance's directory: `input` and `assets` below it are the agent's to fill."""

    @property
    def view(self) -> View: ...

    @property
    def door(self) -> Door: ...

    @property
    def spec(self) -> InstanceSpec: ...

    @property
    def isolated(self) -> bool:
        """Is what is read-only for tasks really so? If not, their input may have been changed when they end."""

    @property
    def initialized(self) -> bool:
        """Was it prepared for its pool already, by an agent that was killed? Else its assets and `init` are to come."""

    def set_initialized(self) -> None:
        """It is prepared now. Raises OSError."""

    def has_user(self, uid: int) -> bool:
        """May a process of the instance have the user `uid`, as this machine counts? Others may have it, too."""

    def has_socket(self, inode: int) -> bool:
        """Has a process whose descriptors are closed to us this socket open? May take long. Raises OSError."""

    def processes(self) -> Iterator[int]:
        """The ids of the processes in the instance now, the lackey's own included."""

    def memory_kills(self) -> int:
        """How many processes the memory cap has killed since the instance began; 0 if nobody counts."""

    def memory_events(self) -> int | None:
        """A descriptor, the instance's own, of the file with these kills: for the lackey, who knows best which task
        was hit. None if nobody counts."""

    def memory_peak_kb(self, least: int) -> int:
        """KiB that tasks had in use at most since this was last asked, without file cache that is left; `least` (what
        the largest of their processes had) if nobody counts."""

    @property
    def memory_capped(self) -> bool:
        """Does the kernel enforce the memory cap? Else it is the agent's to enforce, by `memory_used`."""

    def memory_used(self) -> int:
        """Bytes in use by tasks, exact if more than the cap. May take long."""

    @property
    def disk(self) -> Path:
        """A directory on the file system that has what tasks write, of the instance alone or not."""

    def disk_use(self, most: Use, known: Collection[File] | None) -> Use:
        """What tasks have of the disk, inputs and outputs not counted; no more of it than exceeds `most`.

        `known`: files that are counted elsewhere, if a task runs: so its own files without a name count too. May take
        long. Raises OSError.
        """

    def disk_full(self) -> bool:
        """Has the instance no disk left? False where the cap is the agent's to enforce."""

    async def destroy(self) -> None:
        """Kill everything in the instance and remove its directory. Never raises; goes on trying until it is gone."""


class Provider(Protocol):
    """A source of instances. One whose instances outlive an agent that was killed gives out first what was left."""

    name: str

    @property
    def isolation(self) -> Isolation:
        """What keeps tasks in here; known after `prepare`."""

    async def create(self, spec: InstanceSpec) -> Instance:
        """Make an instance and wait until its lackey is ready. Raises InstanceError, and leaves nothing."""

    async def prepare(self) -> None:
        """Before the first `create`: remove what an agent that was killed left behind on this node, and log, once,
        what this machine does not allow. Raises InstanceError if no instance could be made here."""

    async def close(self) -> None:
        """After the last instance: leave no trace outside the state directory."""
