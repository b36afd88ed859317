"""A private loopback for every instance, on the machine's own network.

Tasks may use the internet, so they have the machine's network; but servers on the machine's
loopback, the doors of other instances included, trust clients that come from there. So a task's
loopback is another one: each instance has an address of its own, derived from a process id, and the
kernel translates it to 127.0.0.1 for the instance's sockets, and back:

    a task says                       and gets
    connect, send: 127.x.x.x, ::1     127.64.0.0/10 + the id of its process 1, the same port but for 80
    connect, send: 0.0.0.0, ::        the same, since the kernel means loopback by it
    bind: 127.x.x.x, ::1              the same
    bind: 0.0.0.0 or :: to a port     the same, if it is TCP: servers of a task are for the task
    getsockname and the like          127.0.0.1 again

Six things follow:

- A server that a task starts is found at `localhost` by that task alone, and takes no port from
  others.
- The door of an instance listens at that address. It does not occupy port 80, which a web server of
  the machine may need: tasks use `http://localhost:80/`, and the port is translated.
- Services that listen at *all* addresses of the machine stay in reach, as they are for the network
  outside.
- Port 53 of the loopback is not translated: many machines resolve names there.
- A socket that is for IPv6 only cannot have an IPv4 address. If it would listen at ::1 or ::, it
  gets a random port there: servers that listen twice are found at 127.0.0.1. Such sockets are
  recognized by a mark.
- Only protocols that these hooks see are allowed: TCP, UDP and ICMP. Others (SCTP, MPTCP, …) are
  refused.

Beyond the loopback, link-local addresses are refused, and others that serve the same purpose: there
a cloud serves a machine's metadata and credentials. Port 53 is exempt there as well. An operator
may let tasks reach either (`Reach`).

All of this is done by small BPF programs on the instance's version-2 control group, which keeps
them.
"""

from __future__ import annotations

import ctypes
import ipaddress
import logging
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from scheduler.providers import Door
from scheduler.providers.linux import bpf
from scheduler.providers.linux.bpf import Program
from scheduler.providers.linux.cgroups import groups_of, hierarchies
from scheduler.providers.linux.libc import libc

log = logging.getLogger("remora.agent")
WARNING = "tasks reach whatever listens on this machine's loopback, and the metadata of a cloud"
NETWORK = int(ipaddress.IPv4Address("127.64.0.0"))
LOCALHOST = ipaddress.IPv4Address("127.0.0.1").packed
RESOLVER = 53
# Link-local networks, as the first word after a right shift: 169.254.0.0/16, fe80::/10.
LINK4, LINK6 = (16, 0xA9FE), (22, 0x3FA)
# Metadata addresses of other clouds: Alibaba, Oracle, Azure; Amazon, Google.
METADATA4 = [int(ipaddress.IPv4Address(text)) for text in ("100.100.100.200", "192.0.0.192", "168.63.129.16")]
METADATA6 = [ipaddress.IPv6Address(text).packed for text in ("fd00:ec2::254", "fd20:ce::254")]
WEB, DOOR = 80, 7480  # the port that tasks use, and the real one
# The system call that returns the version of Landlock, and the first version that has scopes.
LANDLOCK_CREATE_RULESET, LANDLOCK_SCOPES = 444, 6

# Hooks of the kernel, for IPv4 and IPv6.
BIND, CONNECT, SEND, RECEIVE, PEER_NAME, OWN_NAME = (8, 9), (10, 11), (14, 15), (19, 20), (29, 30), (31, 32)
SOCKET_CREATE, SET_OPTION = 2, 22
# Offsets in the context of a hook: of an address, and of a new socket.
ADDRESS4, ADDRESS6, PORT, TYPE = 4, (8, 12, 16, 20), 24, 32
SOCKET_FAMILY, SOCKET_PROTOCOL, SOCKET_MARK = 4, 12, 16
SOCKET = 64  # a pointer, in the context of an address
OPTION_SOCKET, OPTION_VALUE, OPTION_END, OPTION_LEVEL, OPTION_NAME = 0, 8, 16, 24, 28
MARK = 0x52454D4F
STREAM, INET, INET6 = 1, 2, 10
SPOKEN = (1, 6, 17, 58)  # ICMP, TCP, UDP, ICMPv6
MAPPED = b"\x00\x00\xff\xff"  # the third word of an IPv4 address in IPv6 form


@dataclass(frozen=True, slots=True)
class Reach:
    """The parts of the machine's own network that tasks may reach."""

    loopback: bool = False  # servers at the machine's 127.0.0.1
    link_local: bool = False  # link-local addresses, which include a cloud's metadata


CONFINED = Reach()


def address_of(pid: int) -> str:
    """The address that replaces 127.0.0.1 for the instance with this process 1: unique while that process lives."""
    return str(ipaddress.IPv4Address(NETWORK + pid))


def give_loopback(pid: int, group: str, reach: Reach = CONFINED) -> Door:
    """Put process `pid` under the version-2 group `group`, and give that a loopback. Raises OSError."""
    address = address_of(pid)
    own = None if reach.loopback else ipaddress.IPv4Address(address).packed
    place = version_2_group(pid, group)
    bpf.hang(place, bpf.CGROUP_SOCK, SOCKET_CREATE, only_spoken())
    for hooks in (CONNECT, SEND):
        for hook, six in zip(hooks, (False, True), strict=True):
            bpf.hang(place, bpf.CGROUP_SOCK_ADDR, hook, outward(own, six, bind=False, link=reach.link_local))
    if own is None:
        return Door()
    bpf.hang(place, bpf.CGROUP_SOCKOPT, SET_OPTION, mark_ipv6_only())
    for hook, six in zip(BIND, (False, True), strict=True):
        bpf.hang(place, bpf.CGROUP_SOCK_ADDR, hook, outward(own, six, bind=True, link=True))
    for hooks in (RECEIVE, PEER_NAME, OWN_NAME):
        for hook, six in zip(hooks, (False, True), strict=True):
            bpf.hang(place, bpf.CGROUP_SOCK_ADDR, hook, inward(own, six))
    return Door(address, DOOR, f"http://localhost:{WEB}/")


@dataclass(slots=True)
class Loopbacks:
    """The loopbacks of one agent: after the first instance either all get one, or none."""

    reach: Reach
    works: bool | None = None  # not tried yet

    @property
    def holds(self) -> bool:
        """Whether the machine's loopback is out of reach of tasks."""
        return bool(self.works) and not self.reach.loopback

    def give(self, pid: int, group: str) -> Door:
        """Give an instance a loopback, as `give_loopback` does. Raises OSError."""
        if self.works is False:
            return Door()
        try:
            door = give_loopback(pid, group, self.reach)
        except OSError as error:
            if self.works:
                raise
            self.works = False
            log.warning(WARNING, extra={"why": str(error)})
            return Door()
        self.works = True
        return door


def why_none() -> str | None:
    """The kernel's reason against loopbacks, tried on an empty group; None: they work."""
    for point, version, _ in hierarchies():
        if version == 2:
            place = Path(point) / f"remora-probe-{os.getpid()}"
            try:
                place.mkdir()
                try:
                    bpf.hang(place, bpf.CGROUP_SOCK_ADDR, CONNECT[0], outward(LOCALHOST, six=False, bind=False))
                finally:
                    place.rmdir()
            except OSError as error:
                return str(error)
            return None
    return "no version-2 control groups are mounted"


def keeps_abstract_sockets_apart() -> bool:
    """Whether the lackey can keep tasks from abstract unix sockets of other processes (Linux 6.12)."""
    version: int = libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return version >= LANDLOCK_SCOPES


def version_2_group(pid: int, group: str) -> Path:
    """The version-2 group of a container, or a new one if its runtime uses version 1. Raises OSError."""
    for point, version, _ in hierarchies():
        if version == 2:
            place = Path(point + group)
            if groups_of(pid).get("") != group:
                place.mkdir(parents=True, exist_ok=True)
                (place / "cgroup.procs").write_text(str(pid))
            return place
    raise FileNotFoundError("no version-2 control groups are mounted")


def only_spoken() -> Program:
    """A program that refuses internet sockets of protocols that the other hooks do not see."""
    program = Program()
    program.load(2, SOCKET_FAMILY)
    program.jump_if(2, INET, "look")
    program.jump_unless(2, INET6, "fine")
    program.label("look")
    program.load(2, SOCKET_PROTOCOL)
    for protocol in SPOKEN:
        program.jump_if(2, protocol, "fine")
    program.result(0)
    program.label("fine")
    program.result(1)
    return program


def mark_ipv6_only() -> Program:
    """A program that marks sockets as they become IPv6 only."""
    program = Program()
    program.load(2, OPTION_LEVEL)
    program.jump_unless(2, socket.IPPROTO_IPV6, "fine")
    program.load(2, OPTION_NAME)
    program.jump_unless(2, socket.IPV6_V6ONLY, "fine")
    program.load_pointer(7, OPTION_VALUE)
    program.load_pointer(8, OPTION_END)
    program.jump_unless_within(7, 4, 8, "fine")
    program.load(2, 0, of=7)
    program.jump_if(2, 0, "fine")
    program.set_option(OPTION_SOCKET, socket.SOL_SOCKET, socket.SO_MARK, MARK)
    program.label("fine")
    program.result(1)
    return program


def outward(own: bytes | None, six: bool, bind: bool, link: bool = False) -> Program:
    """A program that replaces loopback addresses by `own`, if given, and refuses metadata unless `link`."""
    program = Program()
    if not link:
        refuse_metadata(program, six)
    if own is not None:
        replace_loopback(program, own, six, bind)
    program.label("fine")
    program.result(1)
    return program


def refuse_metadata(program: Program, six: bool) -> None:
    """Refuse the metadata addresses, except for port 53."""
    if six:
        find_metadata6(program)
    else:
        program.load(2, ADDRESS4)
        find_metadata4(program)
    program.label("metadata")
    program.load(2, PORT)
    program.from_network(2, 16)
    program.jump_if(2, RESOLVER, "elsewhere")
    program.result(0)
    program.label("elsewhere")


def find_metadata4(program: Program) -> None:
    """Jump to `metadata` if the address in register 2 is one of those; fall through otherwise."""
    shift, network = LINK4
    program.from_network(2, 32)
    for address in METADATA4:
        program.jump_if(2, address, "metadata")
    program.shift_right(2, shift)
    program.jump_unless(2, network, "elsewhere")


def find_metadata6(program: Program) -> None:
    """Jump to `metadata` or `elsewhere` by the IPv6 address of the context."""
    shift, network = LINK6
    program.load(2, ADDRESS6[0])
    program.from_network(2, 32)
    program.shift_right(2, shift)
    program.jump_if(2, network, "metadata")
    for address in METADATA6:
        other = f"not {address.hex()}"
        for index, place in enumerate(ADDRESS6):
            program.load(2, place)
            program.from_network(2, 32)
            program.jump_unless(2, int.from_bytes(address[4 * index : 4 * index + 4], "big"), other)
        program.jump("metadata")
        program.label(other)
    for place in ADDRESS6[:2]:
        program.load(2, place)
        program.jump_unless(2, 0, "elsewhere")
    program.load(2, ADDRESS6[2])
    program.from_network(2, 32)
    program.jump_unless(2, int.from_bytes(MAPPED, "big"), "elsewhere")
    program.load(2, ADDRESS6[3])
    find_metadata4(program)


def replace_loopback(program: Program, own: bytes, six: bool, bind: bool) -> None:
    """Replace the address of the context by `own` if it is a loopback address, or unspecified."""
    if six:
        find_loopback6(program)
    else:
        program.load(2, ADDRESS4)
        find_loopback4(program)
    program.label("any")
    if bind:
        # A socket bound to no address and no port is a client's, or may send datagrams.
        program.load(2, TYPE)
        program.jump_unless(2, STREAM, "fine")
        program.load(2, PORT)
        program.jump_if(2, 0, "fine")
    program.label("loopback")
    if not bind:
        program.load(2, PORT)
        program.from_network(2, 16)
        program.jump_if(2, RESOLVER, "fine")
        program.jump_unless(2, WEB, "address")
        program.store(PORT, struct.pack("=I", socket.htons(DOOR)))
        program.label("address")
    if six and bind:
        program.load_pointer(2, SOCKET)
        program.load(2, SOCKET_MARK, of=2)
        program.jump_unless(2, MARK, "not only")
        for place, word in zip(ADDRESS6, (0, 0, 0, 1), strict=True):
            program.store(place, word.to_bytes(4, "big"))
        program.store(PORT, bytes(4))
        program.result(1)
        program.label("not only")
    if six:
        program.store(ADDRESS6[2], MAPPED)
        program.store(ADDRESS6[3], own)
    else:
        program.store(ADDRESS4, own)


def find_loopback4(program: Program) -> None:
    """Jump by the address in register 2: to `loopback`, `any` or `fine`."""
    program.from_network(2, 32)
    program.shift_right(2, 24)
    program.jump_if(2, 0, "any")
    program.jump_if(2, 127, "loopback")
    program.jump("fine")


def find_loopback6(program: Program) -> None:
    """Jump by the IPv6 address of the context: to `loopback`, `any` or `fine`."""
    for place in ADDRESS6[:2]:
        program.load(2, place)
        program.jump_unless(2, 0, "fine")
    program.load(3, ADDRESS6[2])
    program.from_network(3, 32)
    program.load(2, ADDRESS6[3])
    program.jump_if(3, int.from_bytes(MAPPED, "big"), "mapped")
    program.jump_unless(3, 0, "fine")
    program.from_network(2, 32)
    program.jump_if(2, 0, "any")
    program.jump_if(2, 1, "loopback")
    program.jump("fine")
    program.label("mapped")
    find_loopback4(program)


def inward(own: bytes, six: bool) -> Program:
    """A program that replaces `own` by 127.0.0.1."""
    program = Program()
    place = ADDRESS6[3] if six else ADDRESS4
    if six:
        for word in ADDRESS6[:2]:
            program.load(2, word)
            program.jump_unless(2, 0, "fine")
        program.load(2, ADDRESS6[2])
        program.from_network(2, 32)
        program.jump_unless(2, int.from_bytes(MAPPED, "big"), "fine")
    program.load(2, place)
    program.from_network(2, 32)
    program.jump_unless(2, int.from_bytes(own, "big"), "fine")
    program.store(place, LOCALHOST)
    program.label("fine")
    program.result(1)
    return program
