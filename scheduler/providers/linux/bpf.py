"""An assembler for small BPF programs, which are attached to control groups.

It has only what `loopback` needs of the kernel's BPF: loads and stores of a context, comparisons,
forward jumps to labels. A program of twenty instructions needs no compiler.
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

from scheduler.providers.linux.libc import check, libc

# Numbers from the kernel: of the call, by machine; of its commands; of program types.
SYSCALL = {"x86_64": 321, "aarch64": 280}
PROG_LOAD, PROG_ATTACH = 5, 8
CGROUP_SOCK, CGROUP_SOCK_ADDR, CGROUP_SOCKOPT = 9, 18, 25

CONTEXT = 6  # a register that keeps its value across calls; R0 is the result
LOAD, STORE, COPY, SET, SHIFT_RIGHT, TO_BIG_ENDIAN, RETURN = 0x61, 0x63, 0xBF, 0xB7, 0x77, 0xDC, 0x95
LOAD_LONG, STORE_NUMBER, ADD, ABOVE, CALL = 0x79, 0x62, 0x07, 0x2D, 0x85
STACK, SETSOCKOPT = 10, 49
EQUAL, NOT_EQUAL, ALWAYS = 0x16, 0x56, 0x05  # the first two compare 32 bits


class Program:
    """A program under construction.

    Its context is in a register from the start; jumps go forward to labels set later.
    """

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, str | int, int]] = []
        self._labels: dict[str, int] = {}
        self._add(COPY, CONTEXT, 1)

    def _add(self, operation: int, to: int = 0, of: int = 0, offset: str | int = 0, value: int = 0) -> None:
        self._code.append((operation, to, of, offset, value))

    def load(self, register: int, offset: int, of: int = CONTEXT) -> None:
        """Load the 32-bit word at `offset` of the context, or of what another register points to."""
        self._add(LOAD, register, of, offset)

    def load_pointer(self, register: int, offset: int) -> None:
        """Load the pointer at `offset` of the context."""
        self._add(LOAD_LONG, register, CONTEXT, offset)

    def jump_unless_within(self, pointer: int, size: int, end: int, label: str) -> None:
        """Check that `size` bytes at a pointer end before another pointer, as the kernel's verifier demands."""
        self._add(COPY, 1, pointer)
        self._add(ADD, 1, value=size)
        self._add(ABOVE, 1, end, label)

    def set_option(self, socket: int, level: int, option: int, number: int) -> None:
        """Set an option of the socket to which the context has a pointer at `socket`."""
        self._add(STORE_NUMBER, STACK, offset=-4, value=number)
        self._add(LOAD_LONG, 1, CONTEXT, socket)
        self._add(SET, 2, value=level)
        self._add(SET, 3, value=option)
        self._add(COPY, 4, STACK)
        self._add(ADD, 4, value=-4)
        self._add(SET, 5, value=4)
        self._add(CALL, value=SETSOCKOPT)

    def store(self, offset: int, word: bytes) -> None:
        """Store four bytes in the context."""
        self._add(SET, 1, value=struct.unpack("=i", word)[0])
        self._add(STORE, CONTEXT, 1, offset)

    def from_network(self, register: int, bits: int) -> None:
        """Convert a register from network byte order."""
        self._add(TO_BIG_ENDIAN, register, value=bits)

    def shift_right(self, register: int, bits: int) -> None:
        self._add(SHIFT_RIGHT, register, value=bits)

    def jump_if(self, register: int, value: int, label: str) -> None:
        self._add(EQUAL, register, offset=label, value=value)

    def jump_unless(self, register: int, value: int, label: str) -> None:
        self._add(NOT_EQUAL, register, offset=label, value=value)

    def jump(self, label: str) -> None:
        self._add(ALWAYS, offset=label)

    def label(self, name: str) -> None:
        self._labels[name] = len(self._code)

    def result(self, value: int) -> None:
        """Return from the program: 1 allows, 0 refuses."""
        self._add(SET, 0, value=value)
        self._add(RETURN)

    def assemble(self) -> bytes:
        words = []
        for place, (operation, to, of, offset, value) in enumerate(self._code):
            distance = self._labels[offset] - place - 1 if isinstance(offset, str) else offset
            words.append(struct.pack("=BBhI", operation, to | of << 4, distance, value & 0xFFFFFFFF))
        return b"".join(words)


def hang(group: Path, kind: int, hook: int, program: Program) -> None:
    """Attach a program to the sockets of a version-2 group, in place of one attached before.

    It stays as long as the group does. Raises OSError.
    """
    code, licence = program.assemble(), b"none"
    held = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(licence)
    places = [ctypes.addressof(each) for each in held]
    # kind, instructions, code, licence, no log, kernel version, flags, name, interface, attach type
    wanted = struct.pack("=IIQQIIQII16sII", kind, len(code) // 8, *places, 0, 0, 0, 0, 0, b"remora", 0, hook)
    loaded = bpf(PROG_LOAD, wanted, "loading a program into the kernel")
    directory = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        bpf(PROG_ATTACH, struct.pack("=IIII", directory, loaded, hook, 0), f"hanging a program on {group}")
    finally:
        os.close(directory)
        os.close(loaded)


def bpf(command: int, arguments: bytes, what: str) -> int:
    """Make a bpf(2) call. Raises OSError, which names `what`."""
    if (number := SYSCALL.get(os.uname().machine)) is None:
        raise OSError(f"{what}: its number is not known for this machine")
    buffer = ctypes.create_string_buffer(arguments, len(arguments))
    return check(libc.syscall(number, command, buffer, ctypes.c_uint(len(arguments))), what)
