"""mmerge as a program: what it merges, of which range, and what it says about inputs that are not sorted."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from datapath import libexec, passing
from datapath.passing import Kind

TIMEOUT = 60


def mmerge(*argv: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([libexec("mmerge"), *argv], input=stdin, capture_output=True, timeout=TIMEOUT, check=False)


def merged(*argv: str | Path, stdin: bytes = b"") -> bytes:
    done = mmerge(*argv, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def fails(status: int, sentence: str, *argv: str | Path, stdin: bytes = b"") -> None:
    done = mmerge(*argv, stdin=stdin)
    assert (done.returncode, done.stderr.decode()) == (status, f"mmerge: {sentence}\n")


def handed(inputs: Sequence[tuple[int, str, bytes]], *argv: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run it with inputs that are handed over: each its dictionary, name and bytes."""
    channel, stdin = passing.handing()

    def hand() -> None:
        for dictionary, name, data in inputs:
            fd = os.memfd_create(name.replace("/", "_"))
            os.write(fd, data)
            channel.send(Kind.FILE, flags=dictionary, payload=name.encode(), fds=(fd,))
            os.close(fd)
        channel.close()

    thread = threading.Thread(target=hand)
    thread.start()
    try:
        return subprocess.run(
            [libexec("mmerge"), "--handed", *argv], stdin=stdin, capture_output=True, timeout=TIMEOUT, check=False
        )
    finally:
        os.close(stdin)
        thread.join()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two sorted files, of which the second has no newline at its end."""
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_bytes(b"a 1\nb 1\nb 3\nd 1\n")
    paths[1].write_bytes(b"a 2\nb 2\nc 2\nd 0")
    return paths


def test_sorted_files_are_merged(files: list[Path]) -> None:
    assert merged(*files) == b"a 1\na 2\nb 1\nb 2\nb 3\nc 2\nd 0\nd 1\n"


def test_of_equal_lines_that_of_the_earlier_file_comes_first(files: list[Path]) -> None:
    assert merged("-s", "-k1,1", *files) == b"a 1\na 2\nb 1\nb 3\nb 2\nc 2\nd 1\nd 0\n"
    assert merged("-s", "-k1,1", *reversed(files)) == b"a 2\na 1\nb 2\nb 1\nb 3\nc 2\nd 0\nd 1\n"


@pytest.mark.parametrize("borders", [b"", b"b 2\n", b"b 0\nd 0\n", b"a\nb\nb\nc\n", b"0\nz\n", b"a 1\na 2\nd 1\n"])
def test_the_ranges_one_after_another_are_the_whole(files: list[Path], tmp_path: Path, borders: bytes) -> None:
    (tmp_path / "borders").write_bytes(borders)
    for order in ([], ["-s", "-k1,1"], ["-s", "-k1,1", "-k2,2n", "--keys", "1"]):
        ranges = [
            merged(*order, "--borders", tmp_path / "borders", "--partition", str(number), *files)
            for number in range(borders.count(b"\n") + 1)
        ]
        assert b"".join(ranges) == merged(*(word for word in order if word not in ("--keys", "1")), *files)


def test_a_range_begins_at_its_border(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "borders").write_bytes(b"b 2\nd\n")
    options = ["--borders", tmp_path / "borders", "--partition"]
    assert [merged(*options, str(number), *files) for number in range(3)] == [
        b"a 1\na 2\nb 1\n",
        b"b 2\nb 3\nc 2\n",
        b"d 0\nd 1\n",
    ]


def test_lines_that_are_equal_by_the_keys_that_divide_stay_together(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "borders").write_bytes(b"b 2\n")
    options = ["-s", "-k1,1", "-k2,2", "--keys", "1", "--borders", tmp_path / "borders", "--partition"]
    assert merged(*options, "0", *files) == b"a 1\na 2\n"
    assert merged(*options, "1", *files) == b"b 1\nb 2\nb 3\nc 2\nd 0\nd 1\n"


@pytest.mark.parametrize("options", [(), ("-s", "-k1,1"), ("-k1,1",)])
def test_a_file_that_is_not_sorted_is_named_with_its_line(tmp_path: Path, options: tuple[str, ...]) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"a\nd\n")
    bad.write_bytes(b"b\nc\na x\nd\n")
    fails(1, f"{bad}:3: disorder: a x", *options, good, bad)


def test_some_range_finds_the_line_that_is_out_of_order(tmp_path: Path) -> None:
    lines = [b"%04d\n" % n for n in range(2000)]
    for at, moved in ((0, 1500), (700, 3), (1999, 0), (1000, 999)):
        wrong = list(lines)
        wrong.insert(at, wrong.pop(moved))
        (tmp_path / "wrong").write_bytes(b"".join(wrong))
        (tmp_path / "borders").write_bytes(b"0500\n1000\n1500\n")
        expected = subprocess.run(
            ["sort", "-c", "wrong"], cwd=tmp_path, env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=False
        ).stderr
        found = {
            mmerge("--borders", tmp_path / "borders", "--partition", str(number), tmp_path / "wrong").stderr
            for number in range(4)
        } - {b""}
        assert found == {expected.replace(b"sort: ", b"mmerge: %s/" % os.fsencode(tmp_path), 1)}


def test_what_a_command_prints_must_lie_in_the_range(tmp_path: Path) -> None:
    (tmp_path / "borders").write_bytes(b"b\nd\n")
    options = ["-s", "-k1,1", "--borders", tmp_path / "borders", "--partition", "1"]
    assert merged(*options, stdin=b"b 2\nb 1\nc\n") == b"b 2\nb 1\nc\n"
    assert merged(*options, stdin=b"") == b""
    outside = "not in the range of keys of its task"
    fails(1, f"standard input:1: {outside}: a", *options, stdin=b"a\nb\n")
    fails(1, f"standard input:3: {outside}: d", *options, stdin=b"b\nc\nd\n")
    fails(1, "standard input:2: disorder: b", *options, stdin=b"c\nb\n")


def test_a_command_reads_the_lines(files: list[Path]) -> None:
    assert merged("--run", "head -2", *files) == b"a 1\na 2\n"
    assert mmerge("--run", "cat > /dev/null; exit 7", *files).returncode == 7


def test_inputs_are_handed_over(tmp_path: Path) -> None:
    inputs = [(0, "/jill/stor/b", b"b\nd\n"), (0, "/jill/stor/empty", b""), (0, "/jill/stor/a", b"a\nc")]
    assert handed(inputs).stdout == b"a\nb\nc\nd\n"
    many = [(0, f"/jill/stor/{number}", b"%04d\n" % number) for number in reversed(range(1000))]
    assert handed(many).stdout == b"".join(b"%04d\n" % number for number in range(1000))
    wrong = handed([(0, "/jill/stor/a", b"a\n"), (0, "/jill/stor/b", b"b\na\n")])
    assert (wrong.returncode, wrong.stderr) == (1, b"mmerge: /jill/stor/b:2: disorder: a\n")


def test_dictionaries_come_before_the_lines_that_they_belong_to() -> None:
    inputs = [(0, "visits", b"ann 1\nann 2\nbob 1\n"), (1, "users", b"ann A\nbob B\n"), (2, "bans", b"ann x\n")]
    for keys in (["-k1,1"], ["-k1,1", "-k2,2n"]):
        done = handed(inputs, "-s", *keys, "--join", "1")
        assert done.stdout.splitlines() == [
            b"1\tann A",
            b"2\tann x",
            b"0\tann 1",
            b"0\tann 2",
            b"1\tbob B",
            b"0\tbob 1",
        ]


def test_each_range_has_the_lines_of_dictionaries_that_it_may_need(tmp_path: Path) -> None:
    (tmp_path / "borders").write_bytes(b"ann 2\n")
    inputs = [(0, "visits", b"ann 1\nann 2\nbob 1\n"), (1, "users", b"amy Y\nann A\nbob B\n")]
    options = ["-s", "-k1,1", "-k2,2", "--join", "1", "--borders", tmp_path / "borders", "--partition"]
    assert handed(inputs, *options, "0").stdout == b"1\tamy Y\n1\tann A\n0\tann 1\n"
    assert handed(inputs, *options, "1").stdout == b"1\tann A\n0\tann 2\n1\tbob B\n0\tbob 1\n"


def test_zero_terminated_lines_are_merged(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\nx\0c\0")
    (tmp_path / "borders").write_bytes(b"b\0")
    options = ["-z", "--borders", tmp_path / "borders", "--partition"]
    assert [merged(*options, str(number), tmp_path / "a") for number in (0, 1)] == [b"a\nx\0", b"c\0"]


def test_a_line_that_is_too_long_is_named_with_its_byte(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"a\n" + b"b" * (17 << 20) + b"\nc\n")
    fails(2, f"{tmp_path}/long: the line at byte 2 is longer than 16 MiB", tmp_path / "long")


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "borders").write_bytes(b"b\na\n")
    fails(2, f"{tmp_path}/borders: the borders are not sorted", "--borders", tmp_path / "borders")
    fails(2, "cannot read nowhere: No such file or directory", "nowhere")
    done = mmerge("-k1", "--keys", "2")
    assert done.returncode == 2 and done.stderr.startswith(b"mmerge: there are only 1 keys\n")


MANY = 1030  # more than are merged at once


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    """So many files with two lines each, whose keys are those of all other files."""
    paths = [tmp_path / f"{number:04}" for number in range(MANY)]
    for number, path in enumerate(paths):
        path.write_bytes(b"a %d\nb %d\n" % (number, number))
    return paths


def test_more_files_than_are_merged_at_once_are_merged_in_turns_and_in_order(many: list[Path]):
    lines = [b"%c %d\n" % (key, number) for key in b"ab" for number in range(MANY)]
    assert merged("-s", "-k1,1", *many) == b"".join(lines)
    assert merged("-u", "-k1,1", *many) == b"a 0\nb 0\n"


def test_so_they_are_within_a_range_and_for_a_command(many: list[Path], tmp_path: Path):
    borders = tmp_path / "borders"
    borders.write_bytes(b"b\n")
    options = ("-s", "-k1,1", "--borders", borders, "--partition", "1", "--run", "cut -c1 | uniq -c")
    assert merged(*options, *many).split() == [b"%d" % MANY, b"b"]


@pytest.mark.parametrize("number", [3, MANY - 2])
def test_each_of_many_files_must_be_sorted(many: list[Path], number: int):
    many[number].write_bytes(b"b\na\n")
    fails(1, f"{many[number]}:2: disorder: a", *many)


def test_a_join_of_too_many_files_says_what_to_do(many: list[Path]):
    done = handed([(number == 0, f"f{number}", b"a\n") for number in range(MANY)], "-s", "-k1,1", "--join", "1")
    sentence = b"mmerge: a join of more than 1024 files in one range of keys: merge some of them first\n"
    assert (done.returncode, done.stderr) == (2, sentence)
