"""mpartition as a program, and shuffle files as `datapath.shuffle_file` reads them."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
import xxhash

from datapath import libexec, shuffle_file
from datapath.shuffle_file import FOOTER, Extent, NotAShuffleFileError, ShuffleFile

TIMEOUT = 60
MEBIBYTE = 1 << 20


def mpartition(*argv: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [libexec("mpartition"), *argv]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=TIMEOUT, check=False)


def divided(tmp_path: Path, partitions: int, *argv: str | Path, stdin: bytes) -> list[bytes]:
    """The bytes of each partition, from a file that was checked."""
    done = mpartition("--partitions", str(partitions), *argv, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b"")
    shuffled = check(done.stdout, partitions)
    return [joined(done.stdout, shuffled.extents(number)) for number in range(partitions)]


def joined(data: bytes, extents: tuple[Extent, ...]) -> bytes:
    return b"".join(data[extent.at : extent.at + extent.length] for extent in extents)


def check(data: bytes, partitions: int) -> ShuffleFile:
    fd = os.memfd_create("shuffled")
    try:
        os.write(fd, data)
        checked = shuffle_file.check(fd, partitions)
        for number in range(partitions):
            assert shuffle_file.find(fd, number) == [*checked.extents(number)]
        return checked
    finally:
        os.close(fd)


def test_lines_with_equal_keys_meet_in_order(tmp_path: Path) -> None:
    text = b"".join(b"%d,%d\n" % (n % 50, n) for n in range(1000))
    parts = divided(tmp_path, 7, "-t,", "-k1,1", stdin=text)
    assert sum(map(len, parts)) == len(text)
    for part in parts:
        assert part.splitlines() == [line for line in text.splitlines() if line + b"\n" in part.splitlines(True)]
    keys = [{line.partition(b",")[0] for line in part.splitlines()} for part in parts]
    assert sum(map(len, keys)) == 50 and all(keys)


def test_the_key_is_hashed_as_it_compares(tmp_path: Path) -> None:
    parts = divided(tmp_path, 5000, "-n", stdin=b"1\n01\n1.0\n x\n0\n")
    assert sorted(filter(None, parts)) == [b" x\n0\n", b"1\n01\n1.0\n"]


def test_borders_divide_by_range(tmp_path: Path) -> None:
    (tmp_path / "borders").write_bytes(b"b\nd\n")
    parts = divided(tmp_path, 3, "--borders", tmp_path / "borders", stdin=b"e\na\nb\nc\nd\nbb\n\n")
    assert parts == [b"a\n\n", b"b\nc\nbb\n", b"e\nd\n"] or parts == [b"a\nb\n\n", b"c\nd\nbb\n", b"e\n"]


def test_identical_lines_next_to_a_border_take_turns(tmp_path: Path) -> None:
    (tmp_path / "borders").write_bytes(b"a\na\na\n")
    lines = b"a\n" * 1000
    assert divided(tmp_path, 4, "--borders", tmp_path / "borders", stdin=lines) == [b"a\n" * 250] * 4
    for together in ("-s", "-u"):
        parts = divided(tmp_path, 4, together, "-k1", "--borders", tmp_path / "borders", stdin=lines)
        assert parts == [b"", b"", b"", lines]


@pytest.mark.parametrize("options", [[], ["-r"], ["-k2,2n"], ["-s", "-k2,2n"], ["-u", "-k2,2"], ["-z"]], ids=str)
def test_sorted_partitions_are_sorted_one_after_another(tmp_path: Path, options: list[str]) -> None:
    text = b"".join(b"%d x%d\n" % (n * n % 83, n * n % 11) for n in range(2000))
    if options == ["-z"]:
        text = text.replace(b"\n", b"\0")

    def msort(*argv: str, stdin: bytes) -> bytes:
        return subprocess.run([libexec("msort"), *argv], input=stdin, capture_output=True, check=True).stdout

    sample = msort("--sample", "1000", *options, stdin=text)
    (tmp_path / "borders").write_bytes(msort("--borders", "9", *options, stdin=sample))
    parts = divided(tmp_path, 9, *options, "--borders", tmp_path / "borders", stdin=text)
    assert b"".join(msort(*options, stdin=part) for part in parts) == msort(*options, stdin=text)


def test_a_line_longer_than_a_buffer_is_one_line_in_pieces(tmp_path: Path) -> None:
    lines = [b"a" * 70_000, b"b" * 65_536, b"c" * 65_535, b"d" * (16 * MEBIBYTE), b"e"]
    text = b"\n".join(lines) + b"\n"
    done = mpartition("--partitions", "2", stdin=text)
    shuffled = check(done.stdout, 2)
    assert shuffled.lines == 5
    found = [line for number in (0, 1) for line in joined(done.stdout, shuffled.extents(number)).splitlines()]
    assert sorted(found) == lines
    too_long = mpartition("--partitions", "2", stdin=b"a\n" + b"x" * (16 * MEBIBYTE + 1))
    assert too_long.returncode == 2
    assert too_long.stderr == b"mpartition: -: the line at byte 2 is longer than 16 MiB\n"


def test_five_thousand_partitions_need_little_memory() -> None:
    text = b"".join(b"%d\n" % n for n in range(200_000))
    limited = f"ulimit -v 65536; exec {libexec('mpartition')} --partitions 5000 -S 20M"
    done = subprocess.run(["bash", "-c", limited], input=text, capture_output=True, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert check(done.stdout, 5000).lines == 200_000


def test_a_command_may_make_the_lines() -> None:
    done = mpartition("--partitions", "2", "--run", "tr a-z A-Z; exit 3", stdin=b"a\nb\n")
    assert done.returncode == 3
    shuffled = check(done.stdout, 2)
    assert sorted(joined(done.stdout, shuffled.extents(0) + shuffled.extents(1)).split()) == [b"A", b"B"]
    assert mpartition("--partitions", "2", "--run", "kill -9 $$").returncode == 128 + 9


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    def fails(sentence: str, *argv: str | Path, stdin: bytes = b"") -> None:
        done = mpartition(*argv, stdin=stdin)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.decode().partition("\n")[0] == f"mpartition: {sentence}"

    fails("--partitions is missing")
    fails("invalid number of partitions: 5001 (1 to 5000)", "--partitions", "5001")
    fails("--run and x exclude each other", "--partitions", "2", "--run", "cat", "x")
    fails("cannot read /no/file: No such file or directory", "--partitions", "2", "/no/file")
    borders = tmp_path / "borders"
    borders.write_bytes(b"b\na\n")
    fails(f"{borders}: the borders are not sorted", "--partitions", "9", "--borders", borders)
    fails(
        f"{borders}: there are more borders than lie between the partitions", "--partitions", "2", "--borders", borders
    )
    with open("/dev/full", "wb") as full:
        command = [libexec("mpartition"), "--partitions", "2"]
        done = subprocess.run(command, input=b"a\n", stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        b"mpartition: cannot write the shuffle file: No space left on device\n",
    )


# Files that a task has written by itself.


def shuffled(*parts: list[tuple[bytes, int]], **changed: int) -> bytes:
    """A file of extents `(bytes, lines)` by partition, with fields of the footer changed, and the right hash."""
    data = b"".join(piece for part in parts for piece, _ in part)
    extents, at, first = [], 0, [0]
    for part in parts:
        for piece, lines in part:
            extents.append((at, len(piece), lines))
            at += len(piece)
        first.append(len(extents))
    fields = {
        "partitions": len(parts), "extents": len(extents), "flags": 0, "index": -(-at // 8) * 8,
        "lines": sum(lines for part in parts for _, lines in part),
    } | {name: value for name, value in changed.items() if name not in ("first", "at", "length")}  # fmt: skip
    if "first" in changed:
        first[1] = changed["first"]
    if "at" in changed:
        extents[0] = (changed["at"], *extents[0][1:])
    index = struct.pack(f"<{len(first)}I", *first)
    index += bytes(-len(index) % 8) + b"".join(struct.pack("<QII", *extent) for extent in extents)
    index += struct.pack(f"<{len(parts)}Q", *([0] * len(parts)))
    footer = struct.pack("<8sIIIIQQ", b"REMSHUFF", 1, *fields.values())
    return data + bytes(-len(data) % 8) + index + footer + struct.pack("<Q", xxhash.xxh3_64_intdigest(index + footer))


def test_a_file_made_by_hand_is_read() -> None:
    data = shuffled([(b"a\n", 1), (b"b\nb\n", 2)], [], [(b"c\n", 1)])
    checked = check(data, 3)
    assert checked.extents(0) == (Extent(0, 2, 1), Extent(2, 4, 2))
    assert (checked.extents(1), checked.extents(2)) == ((), (Extent(6, 2, 1),))
    assert (checked.size(0), checked.lines, checked.digests) == (6, 4, (0, 0, 0))


def test_a_digest_is_of_the_extents_of_its_partition() -> None:
    done = mpartition("--partitions", "1", stdin=b"a\nb\n")
    own = struct.pack("<QQ", 0, xxhash.xxh3_64_intdigest(b"a\nb\n"))
    assert check(done.stdout, 1).digests == (xxhash.xxh3_64_intdigest(own),)


GOOD = shuffled([(b"aa\n", 1)], [(b"b\n", 1)])
HOSTILE = {
    "it is too short": b"",
    "it does not end as one": b"x" * 1000,
    "it has 2 partitions, not 3": None,
    "it has 0 partitions, of at most 5000": shuffled([(b"a\n", 1)], partitions=0),
    "it has 4294967295 partitions, of at most 5000": shuffled([(b"a\n", 1)], partitions=2**32 - 1),
    "it has 4294967295 extents, of at most 4194304": shuffled([(b"a\n", 1)], extents=2**32 - 1),
    "it is of another version (1, flags 2)": shuffled([(b"a\n", 1)], flags=2),
    "its index is not where it should be": shuffled([(b"a\n", 1)], index=16),
    "its partitions do not divide its extents": shuffled([(b"aa\n", 1)], [(b"b\n", 1)], first=3),
    "its extents have a gap or an overlap at byte 0": shuffled([(b"aa\n", 1)], [(b"b\n", 1)], at=1),
    "its extents have a gap or an overlap at byte 3": shuffled([(b"aa\n", 1)], [(b"", 0)]),
    "its extent at byte 0 has more lines than bytes": shuffled([(b"a\n", 3)]),
    "its extents do not add up to what it says": shuffled([(b"a\n", 1)], lines=2),
    "its index does not have the hash that it should have": GOOD[:8] + b"\x01" + GOOD[9:],
}


@pytest.mark.parametrize("sentence", HOSTILE)
def test_a_file_that_lies_is_refused_with_the_reason(sentence: str) -> None:
    data = HOSTILE[sentence]
    partitions = 3 if data is None else 2
    if data is not None and len(data) >= FOOTER.size and data is not GOOD:
        partitions = max(1, struct.unpack_from("<I", data, len(data) - FOOTER.size + 12)[0])
    with pytest.raises(NotAShuffleFileError) as refused:
        check(GOOD if data is None else data, partitions)
    assert str(refused.value) == sentence


def test_no_change_of_a_byte_makes_another_file_of_it() -> None:
    at = 8  # behind the extents, of which the digests take care
    for position in range(at, len(GOOD)):
        for bit in (1, 128):
            changed = bytearray(GOOD)
            changed[position] ^= bit
            with pytest.raises(NotAShuffleFileError):
                check(bytes(changed), 2)


def test_no_part_of_a_file_is_a_file() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(NotAShuffleFileError):
            check(GOOD[:length], 2)


def test_a_partition_that_is_none_is_refused() -> None:
    fd = os.memfd_create("shuffled")
    os.write(fd, GOOD)
    with pytest.raises(NotAShuffleFileError, match="and none with number 2"):
        shuffle_file.find(fd, 2)
    os.close(fd)
