"""Who is at the other end of a loopback connection.

A task's door to the service is a TCP port, which everybody on the machine can knock at. The
kernel knows who holds the other end: `/proc/net/tcp` has its user and its inode, as long as
a living process has it open. An instance with users of its own is recognised by the user;
one that shares its user, by the process that has the socket.

Tables and processes are read while they change, and on a busy machine a row that was there
all the time can be missed. So whoever is not found is looked for again before he is refused.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator

from scheduler.providers import Instance
from scheduler.providers.processes import holds_socket

ESTABLISHED = "01"
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LOOKS = 3
Address = tuple[str, int]


def is_inside(instance: Instance, client: Address, server: Address) -> bool:
    """Does a living process of `instance` hold the client end of this connection?"""
    for _ in range(LOOKS):
        if (inside := _look(instance, client, server)) is not None:
            return inside
    return False


def _look(instance: Instance, client: Address, server: Address) -> bool | None:
    """None if nobody was found: he may have been missed."""
    found = holder(client, server)
    if found is None:
        return None
    uid, inode = found
    owned = instance.owns_user(uid)
    return owned if owned is not None else holds_socket(instance.processes(), inode) or None


def holder(client: Address, server: Address) -> tuple[int, int] | None:
    """`(uid, inode)` of the client's socket, or None if nobody has it open any more."""
    wanted = list(zip(spellings(client), spellings(server), strict=True))
    for table, (local, remote) in zip(TABLES, wanted, strict=True):
        for fields in rows(table):
            if fields[1] == local and fields[2] == remote and fields[3] == ESTABLISHED and fields[9] != "0":
                return int(fields[7]), int(fields[9])
    return None


def rows(table: str) -> Iterator[list[str]]:
    try:
        with open(table) as file:
            next(file)
            for line in file:
                yield line.split()
    except FileNotFoundError:  # a kernel without IPv6
        return


def spellings(address: Address) -> tuple[str, str]:
    """An IPv4 address as the two tables spell it: as itself, and mapped into IPv6."""
    host, port = address
    packed = ipaddress.IPv4Address(host).packed
    mapped = socket.inet_pton(socket.AF_INET6, f"::ffff:{host}")
    return f"{words(packed)}:{port:04X}", f"{words(mapped)}:{port:04X}"


def words(packed: bytes) -> str:
    """Hex of 32-bit words in the machine's byte order, as the kernel prints addresses."""
    order = "<" if sys.byteorder == "little" else ">"
    return "".join(f"{word:08X}" for (word,) in struct.iter_unpack(f"{order}I", packed))
