"""Identification of the process at the other end of a loopback connection.

A task's door to the service is a TCP port, to which every process on the machine can connect. The
kernel knows the client's socket: its user, and its inode, as long as a living process has it open.
One sock_diag request returns that socket, in a time that does not depend on the number of sockets.
Two conditions are checked when the connection is accepted:

- The socket's user is one of the instance's. That rejects other users at the price of one request.
  It is not enough: another service on this machine may give its instances the same users, and an
  earlier instance of the same number had them, too.
- A process of the instance has the socket open. Its processes are searched in steps, so that an
  instance with many processes and files delays only itself.

On kernels without sock_diag the tables of all sockets are read instead. Processes and tables change
while they are read, so that a search can miss an entry that was there all the time. Therefore a
search that finds nothing is repeated before the connection is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

from scheduler.providers import Instance

ESTABLISHED = "01"
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LOOKS = 3
STEP = 64  # descriptors that are examined in one turn of the event loop
Address = tuple[str, int]

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR = 4, 20, 1, 2
HEADER = struct.Struct("=IHHII")  # of a netlink message: length, type, flags, sequence, port
REQUEST = struct.Struct("=BBBxI")  # family, protocol, extensions, states
SOCKET_ID = struct.Struct("!HH16s16s12s")  # ports and addresses of source and destination; interface and cookie: any
REPLY = struct.Struct("=BBxx48xIIIII")  # family, state, id, expires, queues, user, inode
ANY = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)


class Peer(NamedTuple):
    """The client's socket. No other socket has its inode before it is closed."""

    uid: int
    inode: int


class Sockets:
    """Looks up TCP sockets of this machine in the kernel."""

    def __init__(self) -> None:
        self._diag: socket.socket | None = None
        with contextlib.suppress(OSError):
            self._diag = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
            self._diag.setblocking(False)  # the answer is there as soon as the request was sent
        if self._diag is not None and not answers(self._diag):
            self.close()
            self._diag = None

    def close(self) -> None:
        if self._diag is not None:
            self._diag.close()

    def find(self, client: Address, server: Address) -> Peer | None:
        """The client's end of a connection, or None if no process has it open any more."""
        if self._diag is None:
            return find_in_tables(client, server)
        try:
            return ask(self._diag, client, server)
        except OSError:  # out of memory, for example
            return None


def answers(diag: socket.socket) -> bool:
    """Whether this kernel supports sock_diag for TCP.

    One without the module says of every socket that there is none.
    """
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname()) as one,
        ):
            peer = ask(diag, one.getsockname(), listener.getsockname())
            return peer is not None and peer.inode == os.fstat(one.fileno()).st_ino
    except OSError:
        return False


def ask(diag: socket.socket, client: Address, server: Address) -> Peer | None:
    """The client's socket from sock_diag. Raises OSError if the kernel does not answer."""
    addresses = socket.inet_aton(client[0]).ljust(16, b"\0"), socket.inet_aton(server[0]).ljust(16, b"\0")
    question = REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
    question += SOCKET_ID.pack(client[1], server[1], *addresses, ANY)
    diag.send(HEADER.pack(HEADER.size + len(question), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0) + question)
    answer = diag.recv(8192)
    _, kind, *_ = HEADER.unpack_from(answer)
    if kind == NLMSG_ERROR:
        error = -struct.unpack_from("=i", answer, HEADER.size)[0]
        if error == errno.ENOENT:
            return None
        raise OSError(error, os.strerror(error))
    *_, uid, inode = REPLY.unpack_from(answer, HEADER.size)
    return Peer(uid, inode) if inode else None


async def is_inside(instance: Instance, peer: Peer) -> bool:
    """Whether a living process of `instance` has this socket open."""
    for _ in range(LOOKS):
        if await holds(instance, peer.inode):
            return True
    with contextlib.suppress(OSError):
        return peer.uid != os.geteuid() and await asyncio.to_thread(instance.has_socket, peer.inode)
    return False


async def holds(instance: Instance, inode: int) -> bool:
    """Whether a process of `instance` has the socket of this inode open; searches in steps."""
    wanted = f"socket:[{inode}]"
    for number, target in enumerate(open_files(instance)):
        if target == wanted:
            return True
        if number % STEP == STEP - 1:
            await asyncio.sleep(0)
    return False


def open_files(instance: Instance) -> Iterator[str]:
    """The files to which descriptors of an instance's processes refer, as /proc spells them."""
    for pid in instance.processes():
        try:
            with os.scandir(f"/proc/{pid}/fd") as descriptors:
                for descriptor in descriptors:
                    with contextlib.suppress(FileNotFoundError):
                        yield os.readlink(descriptor.path)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def find_in_tables(client: Address, server: Address) -> Peer | None:
    """The client's socket from the tables of all sockets, or None."""
    wanted = list(zip(spellings(client), spellings(server), strict=True))
    for _ in range(LOOKS):
        for table, (local, remote) in zip(TABLES, wanted, strict=True):
            for fields in rows(table):
                if fields[1] == local and fields[2] == remote and fields[3] == ESTABLISHED and fields[9] != "0":
                    return Peer(int(fields[7]), int(fields[9]))
    return None


def rows(table: str) -> Iterator[list[str]]:
    """The rows of a table in /proc, split into columns; none if the table does not exist."""
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
