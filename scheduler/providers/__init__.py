"""Providers: the ways in which instances are made.

An instance is an isolated place where tasks run one after another. The agent needs three things of
it: a *lackey* that answers on a channel, a directory on this machine that the instance sees as its
own, and a way to end it. How it was made, as a process or as a container, changes nothing else. So
a provider is one function, `create`, and this module is the whole interface between agent and
providers. Four consequences follow:

- A cap is *enforced* by the provider where the kernel supports it, and the agent only asks
  afterwards what happened: `memory_kills`. Elsewhere the provider measures how much is used, and
  the agent kills the task: `memory_used`. Disk is treated alike, with one difference: what tasks
  print goes into files of the agent, which alone can count those.
- A path means different things inside and outside. `View` holds the paths inside; the agent works
  below `work`.
- Not every kernel allows isolation. Where it does not, tasks run as the agent's own user, see what
  that user sees, and are trusted not to touch the rest: `isolated` says which is the case.
- An instance that cannot be made is an `InstanceError`: a sentence for the operator. Tasks never
  see it; they wait, or go back to the supervisor.

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
from scheduler.providers.isolation import Isolation
from scheduler.providers.linux.disk_usage import File, Use

# Cap per instance, threads included; per user of the instance where the kernel only counts by user.
MAX_PROCESSES = 2048


class InstanceError(Exception):
    """An instance could not be made; the text says what was refused and by which program."""


class NoImageError(InstanceError):
    """No image here has a wanted version: no task that needs it can run on this node."""


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """The specification of an instance: its tier in bytes, the range of its image's versions, and its pool."""

    memory_bytes: int
    disk_bytes: int
    image: str = "*"
    pool: str = ""  # none yet

    def same_tiers(self, other: InstanceSpec) -> bool:
        return (self.memory_bytes, self.disk_bytes) == (other.memory_bytes, other.disk_bytes)


@dataclass(frozen=True, slots=True)
class Door:
    """The address at which the HTTP endpoint of an instance listens on this machine, and the URL for its tasks."""

    address: str = "127.0.0.1"
    port: int = 0  # 0: any free port
    url: str | None = None  # None: made of address and port


@dataclass(frozen=True, slots=True)
class View:
    """Paths as the tasks of an instance see them."""

    home: str
    inputs: str  # objects appear below it under their own names
    tools: str
    agent_socket: str
    one_user: bool = False  # root is the only user there is: files cannot be given to another


@dataclass(frozen=True, slots=True)
class HostView:
    """Parts of the machine that tasks see besides its programs, and parts of the service that are hidden from them.

    `hide` matters where a part of the service (objects, caches, credentials, keys, sockets) lies below a directory that
    is shown.
    """

    show: tuple[Path, ...] = ()
    hide: tuple[Path, ...] = ()


PROGRAMS_ONLY = HostView()


class Instance(Protocol):
    """A running lackey. Owned by its creator until `destroy`."""

    @property
    def number(self) -> int:
        """A small number, unique on this node until the instance is gone."""

    @property
    def channel(self) -> Channel:
        """The connection to the lackey, non-blocking. Closed by the peer: the instance is dead."""

    @property
    def listener(self) -> Listener:
        """The listening, non-blocking socket to which the tools of the instance's tasks connect."""

    @property
    def work(self) -> Path:
        """The instance's directory; the agent fills `input` and `assets` below it."""

    @property
    def view(self) -> View: ...

    @property
    def door(self) -> Door: ...

    @property
    def spec(self) -> InstanceSpec: ...

    @property
    def isolated(self) -> bool:
        """Whether tasks cannot change what is read-only for them.

        If not, their input has to be checked when they end.
        """

    @property
    def initialized(self) -> bool:
        """Whether a previous agent prepared it for its pool already; else its assets and `init` are still to come."""

    def set_initialized(self) -> None:
        """Record that it is prepared. Raises OSError."""

    def has_user(self, uid: int) -> bool:
        """Whether a process of the instance may have the user `uid`, as the host counts; others may have it, too."""

    def has_socket(self, inode: int) -> bool:
        """Whether a process whose descriptors are hidden from us has this socket open.

        May take long. Raises OSError.
        """

    def processes(self) -> Iterator[int]:
        """The ids of the processes in the instance now, including the lackey."""

    def memory_kills(self) -> int:
        """Processes that the memory cap has killed since the instance began; 0 if they are not counted."""

    def memory_events(self) -> int | None:
        """A descriptor, owned by the instance, of the file that counts these kills; None if there is none.

        The lackey reads it, since it knows which task was hit.
        """

    def memory_peak_kb(self, least: int) -> int:
        """KiB that tasks had in use at most since the last call, without file cache.

        `least`, the peak of the largest of their processes, if nothing is measured.
        """

    @property
    def memory_capped(self) -> bool:
        """Whether the kernel enforces the memory cap. If not, the agent enforces it by `memory_used`."""

    def memory_used(self) -> int:
        """Bytes in use by tasks, exact if above the cap. May take long."""

    @property
    def disk(self) -> Path:
        """A directory on the file system to which tasks write, which may be shared with other instances."""

    def disk_use(self, most: Use, known: Collection[File] | None) -> Use:
        """Disk use of tasks, without inputs and outputs; counting stops as soon as it exceeds `most`.

        `known`: files that are counted elsewhere, if a task runs; then its own files without a name count too. May take
        long. Raises OSError.
        """

    def disk_full(self) -> bool:
        """Whether the instance's disk is full. False where the agent enforces the cap."""

    async def destroy(self) -> None:
        """Kill all processes in the instance and remove its directory. Never raises; retries until it is gone."""


class Provider(Protocol):
    """A source of instances. If instances can outlive a killed agent, the survivors are given out first."""

    name: str

    @property
    def isolation(self) -> Isolation:
        """The kinds of isolation in force here; known after `prepare`."""

    async def create(self, spec: InstanceSpec) -> Instance:
        """Make an instance and wait until its lackey is ready. Raises InstanceError, and leaves nothing."""

    def has_survivor(self, spec: InstanceSpec) -> bool:
        """Whether `create` would give out an instance that a killed agent had made for the same pool."""

    def assign(self, instance: Instance, spec: InstanceSpec) -> bool:
        """Give an instance that no pool has had to the pool of `spec`. False if its tiers or its image differ.

        Raises NoImageError.
        """

    async def prepare(self) -> None:
        """Remove what a killed agent left on this node, before the first `create`, and log what the machine
        lacks.

        Raises InstanceError if no instance can be made here.
        """

    async def close(self) -> None:
        """Remove all traces outside the state directory, after the last instance."""
