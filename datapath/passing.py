"""Messages with descriptors: the Python binding of the lackey's and the tools' protocol.

`include/protocol/pass.h` is the contract of the packets. This module adds no protocol of its own; it decodes
packets and refuses malformed ones of a hostile sender, with a sentence. Constants and layouts are
read from the C.

A `Channel` is one end of a socket. It is made for an event loop: `add_reader(channel, ...)` and
then `receive()` until it raises BlockingIOError. The receiver owns received descriptors, also those
of an invalid message: close `message.fds`.

Closing a descriptor can block for as long as its sender chose: a TCP socket with SO_LINGER, a file
on a file system that hangs. A receiver cannot avoid it: the kernel closes descriptors that it does
not take. So a `Listener`, to which tasks send, has SO_PASSRIGHTS off (Linux 6.16): the kernel
rejects a packet with descriptors at its sender (EPERM), before it is queued. Older kernels cannot
do that; `Listener.bars_descriptors` says which is the case.

Example, the agent's side of an instance:

    channel, theirs = pair()
    process = subprocess.Popen([libexec("lackey"), f"--socket={theirs}", ...], pass_fds=[theirs])
    os.close(theirs)
    channel.send(Kind.SCRIPT, flags=Slot.EXEC, payload=b"wc")
    channel.send(Kind.RUN, task=1, payload=encode_environment({"A": "b"}), fds=(stdin, stdout, stderr))
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from datapath._core import ffi, lib

MAX_BYTES: int = lib.PASS_MAX
MAX_FDS: int = lib.PASS_MAX_FDS
# Bytes of a packet *to* an agent: an OPEN with a name and headers of a few KiB each.
CAPACITY = 32 * 1024
BACKLOG = 128
SO_PASSRIGHTS = 83


class Kind(IntEnum):
    """The types of packets (`enum pass_type`)."""

    SCRIPT = lib.PASS_SCRIPT
    ENV = lib.PASS_ENV
    RUN = lib.PASS_RUN
    STOP = lib.PASS_STOP
    EVENTS = lib.PASS_EVENTS
    SHELL = lib.PASS_SHELL
    READY = lib.PASS_READY
    DONE = lib.PASS_DONE
    BEGUN = lib.PASS_BEGUN
    FILE = lib.PASS_FILE
    OPEN = lib.PASS_OPEN
    COMMIT = lib.PASS_COMMIT
    GRANT = lib.PASS_GRANT
    OK = lib.PASS_OK
    REFUSED = lib.PASS_REFUSED


class Slot(IntEnum):
    """The slots of scripts in a lackey: the `flags` of SCRIPT, RUN and SHELL."""

    EXEC = lib.PASS_SLOT_EXEC
    INIT = lib.PASS_SLOT_INIT
    SHELL = lib.PASS_SLOT_SHELL


class ScriptFlag(IntFlag):
    """Options of a script's tasks: with a slot, the `flags` of SCRIPT."""

    PIPED = lib.PASS_PIPED


class DoneFlag(IntFlag):
    """Flags of DONE (`enum pass_done_flags`)."""

    CORE = lib.PASS_CORE
    STOPPED = lib.PASS_STOPPED
    SETUP = lib.PASS_SETUP
    MEMORY = lib.PASS_MEMORY
    UNSAVED = lib.PASS_UNSAVED


NO_FLAGS = DoneFlag(0)


class Holds(IntFlag):
    """The isolation in force besides namespaces and users (`enum pass_holds`)."""

    CALLS = lib.PASS_HOLDS_CALLS
    FILES = lib.PASS_HOLDS_FILES
    SOCKETS = lib.PASS_HOLDS_SOCKETS
    SIGNALS = lib.PASS_HOLDS_SIGNALS


class OpenKind(IntEnum):
    """The kinds of OPEN, by tool."""

    PIPE = lib.PASS_PIPE
    TEE = lib.PASS_TEE
    REFERENCE = lib.PASS_REFERENCE
    SPLIT = lib.PASS_SPLIT


class OpenFlag(IntFlag):
    """Flags of OPEN."""

    PARENTS = lib.PASS_PARENTS


class Message(NamedTuple):
    """One packet. `kind` is a plain number: compare it with `Kind`. The receiver closes its `fds`."""

    kind: int
    task: int
    flags: int
    payload: bytes
    fds: tuple[int, ...]


class Ready(NamedTuple):
    """An instance is ready. `pid` is the lackey's, as this process sees it; `why` says what the kernel refused."""

    namespaces: bool
    pid: int
    holds: Holds
    why: str


class Done(NamedTuple):
    """A task has ended. `status` is as from waitpid(2), or an errno if `flags` has SETUP or UNSAVED.

    Times are in ns and µs, RSS in KiB. `core` is relative to the work directory, and was made by the task: open it with
    `open_beneath`.
    """

    status: int
    flags: DoneFlag
    started_ns: int
    ended_ns: int
    user_us: int
    sys_us: int
    max_rss_kb: int
    core: str
    program: str


@dataclass(frozen=True, slots=True)
class Open:
    """A tool's request. `reducer` is None if it was not given; `headers` is the raw text, checked for NUL only."""

    kind: OpenKind
    flags: OpenFlag
    reducer: int | None
    count: int
    name: str
    headers: str


class Channel:
    """One end of a packet socket, which it owns. `capacity` is the largest payload that may be received."""

    __slots__ = ("_buffer", "_capacity", "_fd", "_fds", "_header", "_nfds", "_sent")

    def __init__(self, fd: int, capacity: int = CAPACITY) -> None:
        self._fd = fd
        self._capacity = capacity
        self._header = ffi.new("struct pass_header *")
        self._sent = ffi.new("struct pass_header *")
        self._buffer = ffi.new("char[]", capacity)
        self._fds = ffi.new("int[]", MAX_FDS)
        self._nfds = ffi.new("size_t *")

    def fileno(self) -> int:
        return self._fd

    def send(self, kind: int, task: int = 0, flags: int = 0, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        """Send one packet; `fds` are duplicated.

        Raises BlockingIOError (would block: send it again later), BrokenPipeError or ConnectionResetError (the other
        end is gone), OSError EMSGSIZE (too large).
        """
        header = self._sent
        header.type, header.flags, header.task = kind, flags, task
        if lib.pass_send(self._fd, header, payload, len(payload), fds, len(fds)) < 0:
            raise os_error()

    def receive(self) -> Message | None:
        """The next packet, or None once the other end has closed.

        Raises BlockingIOError if there is none, or ValueError for a packet that breaks the protocol: close the channel.
        """
        self._nfds[0] = MAX_FDS
        got = lib.pass_recv(self._fd, self._header, self._buffer, self._capacity, self._fds, self._nfds)
        if got < 0:
            if ffi.errno == errno.ENOTCONN:
                return None
            if ffi.errno == errno.EBADMSG:
                raise ValueError("packet is too short, too long, or has too many descriptors")
            raise os_error()
        header = self._header
        fds = tuple(self._fds[0 : self._nfds[0]]) if self._nfds[0] else ()
        return Message(header.type, header.task, header.flags, ffi.buffer(self._buffer, got)[:], fds)

    def bar_descriptors(self) -> None:
        """Have the kernel refuse descriptors from now on, where it can: a lackey sends none after READY."""
        sock = socket.socket(fileno=self._fd)
        bar_descriptors(sock)
        sock.detach()

    def hang_up(self) -> None:
        """End the connection, but keep the descriptor: in any thread, also while another one sends."""
        sock = socket.socket(fileno=self._fd)
        with contextlib.suppress(OSError):  # the other end is gone
            sock.shutdown(socket.SHUT_RDWR)
        sock.detach()

    def close(self) -> None:
        """Close this end; idempotent. The lackey at the other end kills all its tasks, and ends."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def pair() -> tuple[Channel, int]:
    """A channel (non-blocking) and a descriptor of its other end (blocking), which goes to a child."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return Channel(ours.detach()), theirs.detach()


def handing() -> tuple[Channel, int]:
    """A channel that blocks and only sends, and a descriptor of its other end, where a task takes files over."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.shutdown(socket.SHUT_RD)
    return Channel(ours.detach(), capacity=1), theirs.detach()


class Listener(socket.socket):
    """A listening unix socket for packets of tasks. Accepted sockets inherit `bars_descriptors`."""

    bars_descriptors = False

    def close(self) -> None:
        """Close the socket; idempotent. A thread does it if descriptors may wait in the queue."""
        if self.bars_descriptors or self.fileno() < 0:
            super().close()
        else:
            threading.Thread(target=os.close, args=(self.detach(),), name="listener", daemon=True).start()


def bar_descriptors(sock: socket.socket) -> bool:
    """Have the kernel refuse descriptors that are sent to this unix socket; False if it cannot."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
    except OSError:
        return False
    return True


def listen(path: Path) -> Listener:
    """Listen at a unix socket (non-blocking) that any user who can reach `path` may connect to.

    The path may be longer than a socket address: the socket is named relative to its directory.
    """
    listener = Listener(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bars_descriptors = bar_descriptors(listener)  # before it listens: connections inherit it as they are made
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        path.chmod(0o666)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(directory)
    listener.setblocking(False)
    return listener


def accept(listener: socket.socket) -> Channel:
    """Accept the next connection, non-blocking. Raises BlockingIOError if there is none."""
    connection, _ = listener.accept()
    connection.setblocking(False)
    return Channel(connection.detach())


def encode_environment(variables: Mapping[str, str]) -> bytes:
    """The payload of ENV and RUN. Raises ValueError for variables that no environment can hold."""
    text = "".join([f"{name}={value}\0" for name, value in variables.items()])
    if text.count("\0") > len(variables) or not are_names(*variables):
        odd = next(name for name, value in variables.items() if not name or "=" in name or "\0" in name + value)
        raise ValueError(f"environment variable {odd!r} has no name, a '=' in it, or a NUL byte")
    return text.encode("utf-8", "surrogateescape")


@lru_cache
def are_names(*names: str) -> bool:
    """Whether variables can have these names: the same few, task after task."""
    return all(names) and "=" not in "".join(names)


def decode_environment(payload: bytes) -> dict[str, str]:
    """Decode the payload of ENV and RUN. Raises ValueError for a malformed one."""
    if not payload:
        return {}
    if not payload.endswith(b"\0"):
        raise ValueError("environment does not end in a NUL byte")
    pairs = [entry.partition(b"=") for entry in payload[:-1].split(b"\0")]
    if any(not name or not sign for name, sign, _ in pairs):
        raise ValueError("environment has an entry without a name and '='")
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def decode_ready(payload: bytes) -> Ready:
    """Decode the payload of READY. Raises ValueError for the wrong size."""
    ready = overlay("struct pass_ready", payload)
    return Ready(bool(ready.namespaces), ready.pid, Holds(ready.holds), text(ready.why))


def decode_done(payload: bytes) -> Done:
    """Decode the payload of DONE. Raises ValueError for the wrong size."""
    done = overlay("struct pass_done", payload)
    numbers = done.started_ns, done.ended_ns, done.user_us, done.sys_us, done.max_rss_kb
    if not done.flags:  # most tasks
        return Done(done.status, NO_FLAGS, *numbers, "", "")
    return Done(done.status, DoneFlag(done.flags), *numbers, text(done.core), text(done.program))


def encode_open(request: Open) -> bytes:
    """The payload of OPEN, as our tools send it."""
    name, headers = request.name.encode(), request.headers.encode()
    reducer = -1 if request.reducer is None else request.reducer
    fields = (request.kind, request.flags, reducer, request.count, len(name), len(headers))
    return bytes(ffi.buffer(ffi.new("struct pass_open *", fields))) + name + headers


def decode_open(payload: bytes) -> Open:
    """Decode the payload of OPEN. Raises ValueError with a sentence about what is wrong with it."""
    request, name, headers = ffi.new("struct pass_open *"), ffi.new("char **"), ffi.new("char **")
    data = ffi.from_buffer(payload)
    if wrong := lib.pass_parse_open(data, len(payload), request, name, headers):
        raise ValueError(ffi.string(wrong).decode())
    try:
        return Open(
            OpenKind(request.kind),
            OpenFlag(request.flags),
            None if request.reducer < 0 else request.reducer,
            request.count,
            ffi.buffer(name[0], request.name_len)[:].decode(),
            ffi.buffer(headers[0], request.headers_len)[:].decode(),
        )
    except UnicodeDecodeError:
        raise ValueError("name or headers are not UTF-8") from None


def open_beneath(directory: Path, relative: str) -> int:
    """A read-only descriptor of a regular file that a task left below `directory`, reached through no link.

    Raises OSError: FileNotFoundError, ELOOP or EXDEV for one that leads elsewhere, EINVAL for one of another kind.
    """
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd: int = lib.beneath_file(place, os.fsencode(relative))
        if fd < 0:
            raise os_error()
        return fd
    finally:
        os.close(place)


def overlay(structure: str, payload: bytes):  # type: ignore[no-untyped-def]  # cffi's types are made at run time
    if len(payload) != ffi.sizeof(structure):
        raise ValueError(f"payload of {len(payload)} bytes cannot be a {structure}")
    return ffi.from_buffer(f"{structure} *", payload)


def text(field) -> str:  # type: ignore[no-untyped-def]
    return os.fsdecode(ffi.string(field)) if field[0] != b"\0" else ""


def os_error() -> OSError:
    return OSError(ffi.errno, os.strerror(ffi.errno))
