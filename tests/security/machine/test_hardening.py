"""What the compiler and the linker add to our programs against a mistake in them, read from the files themselves."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import datapath
from datapath import _core, build

EXTENSION = Path(_core.__file__)
PROGRAMS = [datapath.libexec(source.stem) for source in build.programs()]
ALL = [*PROGRAMS, EXTENSION]

SHARED_OBJECT = 3  # ET_DYN: a position-independent executable, or a library
DYNAMIC, STACK, RELRO = 2, 0x6474E551, 0x6474E552
SYMBOLS, DYNAMIC_SYMBOLS = 2, 11
FLAGS, FLAGS_1 = 30, 0x6FFFFFFB
BIND_NOW, NOW, PIE = 8, 1, 0x08000000
EXECUTABLE = 1


@dataclass(frozen=True)
class Elf:
    """A 64-bit ELF file of this machine's byte order."""

    image: bytes

    @property
    def kind(self) -> int:
        return int(struct.unpack_from("=H", self.image, 16)[0])

    def segments(self) -> Iterator[tuple[int, int, int, int]]:
        """`(type, flags, offset, size)`."""
        table, size, count = struct.unpack_from("=Q14xHH", self.image, 32)
        for index in range(count):
            kind, flags, offset, _, _, length = struct.unpack_from("=IIQQQQ", self.image, table + index * size)
            yield kind, flags, offset, length

    def dynamic(self) -> dict[int, int]:
        [(offset, length)] = [(offset, length) for kind, _, offset, length in self.segments() if kind == DYNAMIC]
        return dict(struct.unpack_from("=QQ", self.image, at) for at in range(offset, offset + length, 16))

    def sections(self) -> Iterator[tuple[int, int, int, int]]:
        """`(type, offset, size, link)`."""
        table, size, count = struct.unpack_from("=Q10xHH", self.image, 40)
        for index in range(count):
            _, kind, _, _, offset, length, link = struct.unpack_from("=IIQQQQI", self.image, table + index * size)
            yield kind, offset, length, link

    def symbols(self) -> set[str]:
        sections, found = [*self.sections()], set()
        for kind, offset, length, link in sections:
            if kind in (SYMBOLS, DYNAMIC_SYMBOLS):
                names = sections[link][1]
                for at in range(offset, offset + length, 24):
                    start = names + struct.unpack_from("=I", self.image, at)[0]
                    found.add(self.image[start : self.image.index(b"\0", start)].decode())
        return found


@pytest.fixture(params=ALL, ids=lambda path: path.name.partition(".")[0])
def elf(request: pytest.FixtureRequest) -> Elf:
    path: Path = request.param
    return Elf(path.read_bytes())


def test_it_lies_anywhere_in_memory(elf: Elf) -> None:
    assert elf.kind == SHARED_OBJECT
    assert elf.image == EXTENSION.read_bytes() or elf.dynamic().get(FLAGS_1, 0) & PIE


def test_its_stack_is_not_executable(elf: Elf) -> None:
    assert [flags & EXECUTABLE for kind, flags, _, _ in elf.segments() if kind == STACK] == [0]


def test_its_tables_of_addresses_are_read_only_before_it_begins(elf: Elf) -> None:
    assert RELRO in {kind for kind, _, _, _ in elf.segments()}
    dynamic = elf.dynamic()
    assert dynamic.get(FLAGS, 0) & BIND_NOW or dynamic.get(FLAGS_1, 0) & NOW


def test_it_checks_its_stack(elf: Elf) -> None:
    assert "__stack_chk_fail" in elf.symbols()


@pytest.mark.parametrize("path", [EXTENSION, datapath.libexec("lackey")], ids=["extension", "lackey"])
def test_it_checks_the_bounds_of_what_it_writes(path: Path) -> None:
    assert {name for name in Elf(path.read_bytes()).symbols() if name.endswith("_chk")}


def test_the_compiler_is_asked_for_as_much_as_it_knows() -> None:
    flags = build.checked(tuple(build.compiler()))
    assert "-fstack-protector-strong" in flags
    assert {"-D_FORTIFY_SOURCE=3", "-D_FORTIFY_SOURCE=2"} & {*flags}


def test_flags_that_a_compiler_does_not_know_are_left_out(tmp_path: Path) -> None:
    old = tmp_path / "cc"
    old.write_text('#!/bin/sh\ncase "$*" in *=3*|*clash*|*-fcf*|*branch*) exit 1 ;; esac\n')
    old.chmod(0o755)
    assert build.checked((str(old),)) == [*build.CHECKED, "-D_FORTIFY_SOURCE=2"]
