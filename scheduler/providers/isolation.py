"""The isolation of tasks: one table of facts about a machine, and of the sentences that explain them.

A provider finds out what the machine and its own user allow: the facts (`Hold`). A fact that does not hold is a
*gap*, and each has a sentence for people. The banner of `remora up`, `remora doctor`, `remora user add` and the log
of an agent agree, since all of them use this table.

Some gaps come with the kind of instances, such as the network that processes share with the machine; others could be
closed, by root or by a newer kernel (`avoidable`). Only the latter are a lack of the machine.

An agent writes its facts to its state directory, for commands that run without it.

Example: an ordinary user on a machine that lets users make namespaces, without control groups. Tasks of two accounts
are isolated from each other, so a second account may be added; tasks see of the machine what that user sees, and
memory is measured: these are sentences in the banner.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from datapath.passing import Holds, Ready

FILE = "isolation.json"


class Hold(StrEnum):
    """The kinds of isolation that may hold."""

    NAMESPACES = "namespaces"  # processes, mounts and users of its own
    USERS = "users"  # which no other instance and no other process of the machine has
    OWNERS = "owners"  # files of an instance may belong to any of its users
    FILES = "files"  # only files that are shown and the instance's own can be opened
    SIGNALS = "signals"  # processes of others are out of reach
    SOCKETS = "sockets"  # abstract unix sockets of others are out of reach
    CALLS = "calls"  # system calls are filtered
    MEMORY = "memory"  # the kernel enforces the cap
    PROCESSES = "processes"  # the kernel enforces the cap, for the instance or its users
    DISK = "disk"  # the kernel enforces the cap
    NETWORK = "network"  # the machine's loopback is out of reach


@dataclass(frozen=True, slots=True)
class Isolation:
    """The facts of one provider on one machine."""

    provider: str
    holds: frozenset[Hold]

    @property
    def separates_accounts(self) -> bool:
        """Whether the files of an account's tasks are out of reach of another account's."""
        return Hold.FILES in self.holds


@dataclass(frozen=True, slots=True)
class Rule:
    """The sentences for a kind of isolation: where it holds, and where it does not."""

    holds: str
    gap: str
    avoidable: bool = True  # by root, or on another machine


# The most important first.
RULES: Mapping[Hold, Rule] = {
    Hold.FILES: Rule(
        "tasks of an account are kept from the files of others, and of this service",
        "tasks of all accounts are not kept from each other: they can read and change whatever this service's user "
        "can, its keys and all objects included",
    ),
    Hold.NAMESPACES: Rule(
        "tasks have a root and processes of their own", "tasks run among the processes of this machine"
    ),
    Hold.USERS: Rule(
        "instances have users of their own, which are used for nothing else on the machine",
        "to the machine, tasks of all accounts are the user that runs this service (not so if that is root)",
    ),
    Hold.OWNERS: Rule(
        "tasks can give files to any user: chown and cp -a work, tar restores owners",
        "tasks have no user but root: chown and cp -a fail, tar restores no owners (others come with root, or with "
        "newuidmap of the package uidmap, where /etc/subuid and /etc/subgid have 65536 ids for this user)",
    ),
    Hold.SIGNALS: Rule(
        "tasks cannot reach processes of others",
        "tasks can end processes of the user that runs this service, those of other tasks included",
    ),
    Hold.SOCKETS: Rule(
        "tasks cannot reach abstract unix sockets of others",
        "tasks can connect to abstract unix sockets of this machine (Linux 6.12 keeps them apart)",
    ),
    Hold.CALLS: Rule("system calls of tasks are filtered", "system calls of tasks are not filtered"),
    Hold.MEMORY: Rule(
        "memory is capped by control groups",
        "memory is not capped by a control group, but watched, four times a second",
    ),
    Hold.PROCESSES: Rule(
        "the number of processes is capped",
        "the number of a task's processes is capped by no control group, only by what the machine gives to each user",
    ),
    Hold.DISK: Rule(
        "disk is capped by a file system",
        "disk is not capped by a file system, but counted while tasks run and when they end",
        avoidable=False,
    ),
    Hold.NETWORK: Rule(
        "tasks have a loopback of their own",
        "tasks reach whatever listens on this machine's loopback, and the metadata of a cloud",
    ),
}


def gaps(isolation: Isolation) -> dict[Hold, Rule]:
    """The kinds that do not hold, the most important first."""
    return {hold: rule for hold, rule in RULES.items() if hold not in isolation.holds}


def sentences(isolation: Isolation) -> tuple[str, ...]:
    """The sentences of all gaps."""
    return tuple(rule.gap for rule in gaps(isolation).values())


def of_processes(ready: Ready, own_users: bool, caps: Iterable[Hold]) -> Isolation:
    """The facts of instances that are processes: from their lackey's READY, and from caps that are groups or limits."""
    said = {
        Hold.NAMESPACES: ready.namespaces,
        Hold.USERS: ready.namespaces and own_users,
        Hold.FILES: Holds.FILES in ready.holds,
        Hold.SIGNALS: Holds.SIGNALS in ready.holds,
        Hold.SOCKETS: Holds.SOCKETS in ready.holds,
        Hold.CALLS: Holds.CALLS in ready.holds,
    }
    return Isolation("process", frozenset(caps) | {hold for hold, is_so in said.items() if is_so})


def of_containers(sockets: bool, own_loopback: bool) -> Isolation:
    """The facts of containers; those that are not asked always hold, or no container is made."""
    found = {Hold.SOCKETS: sockets, Hold.NETWORK: own_loopback}
    return Isolation("containerd", frozenset(hold for hold in Hold if found.get(hold, True)))


def record(isolation: Isolation, state_dir: Path) -> None:
    """Write the facts to the state directory. Raises OSError."""
    fresh = state_dir / f".{FILE}.new"
    fresh.write_text(json.dumps({"provider": isolation.provider, "holds": sorted(isolation.holds)}))
    os.replace(fresh, state_dir / FILE)


def recorded(state_dir: Path) -> Isolation | None:
    """The facts that the agent of a state directory wrote when it last started; None if there are none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        facts = json.loads((state_dir / FILE).read_text())
        return Isolation(str(facts["provider"]), frozenset(map(Hold, facts["holds"])))
    return None
