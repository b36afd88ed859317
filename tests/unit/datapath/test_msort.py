"""msort as a program. That it orders as `sort` does is in tests/property/lines/test_sort_properties.py."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from datapath import libexec

TIMEOUT = 60
MEBIBYTE = 1 << 20


def msort(*argv: str | Path, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    command = [libexec("msort"), *argv]
    environment = {"PATH": os.environ["PATH"], **env}
    return subprocess.run(command, input=stdin, env=environment, capture_output=True, timeout=TIMEOUT, check=False)


def prints(expected: bytes, *argv: str | Path, stdin: bytes = b"") -> None:
    done = msort(*argv, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, b"")


def fails(sentence: str, *argv: str | Path, stdin: bytes = b"") -> None:
    done = msort(*argv, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().partition("\n")[0] == f"msort: {sentence}"


def test_long_options_are_those_of_sort() -> None:
    prints(b"b,2\na,1\n", "--key=2,2", "--field-separator=,", "--numeric-sort", "--reverse", stdin=b"a,1\nb,2\n")
    prints(b"1\n2\n10\n", "--sort=numeric", "--unique", "--stable", stdin=b"10\n2\n1\n2\n")
    prints(b"a\0b\0", "--zero-terminated", "--parallel=2", "--batch-size=4", stdin=b"b\0a")
    prints(b"1K\n1M\n", "-h", "--buffer-size=10%", "--compress-program=gzip", stdin=b"1M\n1K\n")


def test_files_and_standard_input_are_sorted_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"c\na")
    (tmp_path / "names").write_bytes(f"{tmp_path / 'a'}\0-\0".encode())
    prints(b"a\nb\nc\n", tmp_path / "a", "-", stdin=b"b")
    prints(b"a\nb\nc\n", "--files0-from", tmp_path / "names", stdin=b"b")
    fails(f"--files0-from and {tmp_path} exclude each other", "--files0-from", tmp_path / "names", tmp_path)


def test_the_output_may_be_an_input_also_of_a_merge(tmp_path: Path) -> None:
    for option in ("-s", "-m"):
        one, two = tmp_path / "one", tmp_path / "two"
        one.write_bytes(b"a\nc\n")
        two.write_bytes(b"b\n")
        prints(b"", option, "-o", one, one, two)
        assert one.read_bytes() == b"a\nb\nc\n"


def test_many_files_are_merged_as_sort_does(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(300)]
    for number, file in enumerate(files):
        file.write_bytes(
            b"".join(b"%d %d\n" % (row * number % 7, number) for row in range(4) if row * number % 7 >= row)
        )
        file.write_bytes(b"".join(sorted(file.read_bytes().splitlines(keepends=True))))
    for options in (["-m"], ["-m", "-s", "-k1,1"], ["-m", "-u", "-k1,1"]):
        expected = subprocess.run(["sort", *options, *files], env={"LC_ALL": "C"}, capture_output=True, check=True)
        prints(expected.stdout, *options, *files)


def test_a_check_names_the_first_line_out_of_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\nc\nb\na\n")
    done = msort("-c", tmp_path / "a")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"msort: {tmp_path / 'a'}:3: disorder: b\n"
    assert msort("--check=quiet", stdin=b"b\na\n").returncode == 1
    assert msort("-c", "-u", stdin=b"a\na\n").stderr == b"msort: -:2: disorder: a\n"
    assert msort("--check", "--header", stdin=b"z\na\nb\n").returncode == 0
    fails("only one file can be checked or sampled, not b too", "-c", "a", "b")
    fails("-C and -o exclude each other", "-C", "-o", "x")
    fails("-c and -C exclude each other", "-c", "-C")


def test_a_header_comes_first_and_only_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"name,n\nd,1\nb,2\n")
    (tmp_path / "b").write_bytes(b"name,n\na,0")
    for memory in ("1b", "1M"):
        prints(b"name,n\na,0\nb,2\nd,1\n", "--header", "-S", memory, tmp_path / "a", tmp_path / "b")
    prints(b"only\n", "--header", stdin=b"only")
    prints(b"", "--header")


def test_runs_lie_in_the_given_directory_and_leave_nothing(tmp_path: Path) -> None:
    text = b"".join(b"%d\n" % (n * 7919 % 5000) for n in range(5000))
    expected = b"".join(b"%d\n" % n for n in range(5000))
    prints(expected, "-n", "-S", "4K", "-T", tmp_path, stdin=text)
    assert list(tmp_path.iterdir()) == []
    assert msort("-n", "-S", "4K", stdin=text, TMPDIR=str(tmp_path)).stdout == expected
    missing = tmp_path / "missing"
    fails(
        f"cannot use a temporary file in {missing}: No such file or directory", "-S1b", "-T", missing, stdin=b"b\na\n"
    )


def test_a_line_over_the_limit_is_named_by_file_and_byte(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\nb\n" + b"x" * (17 * MEBIBYTE))
    for options in ([], ["-m"], ["-c"], ["-S", "1M"], ["-k2,2n"]):
        fails(f"{tmp_path / 'a'}: the line at byte 4 is longer than 16 MiB", *options, tmp_path / "a")
    longest = b"x" * (16 * MEBIBYTE)
    done = msort("-S", "1M", stdin=longest + b"\na\n" + longest)
    assert done.returncode == 0 and done.stdout == b"a\n" + 2 * (longest + b"\n")


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    fails("cannot read /no/file: No such file or directory", "/no/file")
    fails(f"cannot read {tmp_path}: Is a directory", tmp_path)
    fails("cannot write /no/file: No such file or directory", "-o", "/no/file", stdin=b"a\n")
    fails("cannot write /dev/full: No space left on device", "-o", "/dev/full", stdin=b"a\n")


@pytest.mark.parametrize(("sentence", "argv"), {
    '"x" is no key: it does not begin with the number of a field': "-k x",
    "options -n and -M exclude each other": "-n -M",
    "the separator has more than one byte: ab": "-t ab",
    "two different separators": "-t a -t b",
    "invalid size: 1X": "-S 1X",
    "invalid size: -1": "-S -1",
    "--sort=random is not known": "--sort=random",
    "--check=loud is not known": "--check=loud",
    "-R is not supported: pipe through `shuf` instead": "-R",
    "unknown option: -y": "-y",
    "unknown option: --nothing": "--nothing",
    "option needs a value: -k": "-k",
    "invalid number of threads: 0 (1 to 2147483647)": "--parallel 0",
}.items())  # fmt: skip
def test_a_mistake_is_named_and_the_usage_shown(sentence: str, argv: str) -> None:
    done = msort(*argv.split())
    first, _, rest = done.stderr.decode().partition("\n")
    assert (done.returncode, first) == (2, f"msort: {sentence}")
    assert rest.startswith("usage: msort ")


def test_help_is_on_stdout() -> None:
    done = msort("--help")
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout.startswith(b"usage: msort ")


def test_borders_divide_lines_into_equal_parts() -> None:
    text = b"".join(b"%03d\n" % (n * 7 % 100) for n in range(100))
    prints(b"025\n050\n075\n", "--borders", "4", stdin=text)
    prints(b"074\n049\n024\n", "--borders", "4", "-r", stdin=text)
    prints(b"a\na\na\n", "--borders", "4", stdin=b"a\n")
    prints(b"", "--borders", "1", stdin=text)
    prints(b"", "--borders", "4")
    fails("the lines to be divided do not fit into memory (try a larger -S)", "--borders", "2", "-S", "1b", stdin=text)


def test_a_sample_has_lines_by_their_share_of_the_bytes() -> None:
    rows = [b"%06d %s\n" % (n, b"x" * (92 if n % 2 else 2)) for n in range(4000)]  # 100 and 10 bytes
    sample = msort("--sample", "8", stdin=b"".join(rows)).stdout.splitlines(keepends=True)
    assert sample == sorted(sample) and {*sample} <= {*rows}
    assert abs(len(sample) - len(b"".join(rows)) / 2048) <= 1
    assert sum(len(row) == 100 for row in sample) > 0.8 * len(sample)
    prints(b"a\n", "--sample", "8", stdin=b"a")


def test_a_command_reads_the_sorted_lines(tmp_path: Path) -> None:
    done = msort("-s", "-k1,1", "--run", "uniq -c; exit 3", stdin=b"b\na\nb\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"      1 a\n      2 b\n", b"")


def test_a_command_need_not_read_all(tmp_path: Path) -> None:
    lines = b"".join(b"%d\n" % n for n in range(500_000))
    done = msort("-r", "-n", "--run", "head -1", stdin=lines)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"499999\n", b"")
    assert msort("--run", "exec <&-; exit 5", stdin=lines).returncode == 5
    assert msort("--run", "kill -9 $$", stdin=lines).returncode == 137


def test_a_sort_that_fails_is_no_success_of_its_command(tmp_path: Path) -> None:
    done = msort("-S1M", "-T", "/nonexistent", "--run", "cat > /dev/null", stdin=b"x\n" * 2_000_000)
    assert done.returncode == 2
    assert done.stderr.startswith(b"msort: cannot use a temporary file in /nonexistent")


@pytest.mark.parametrize("other", [("-c",), ("-o", "x"), ("--borders", "3"), ("--sample", "1")])
def test_a_command_is_for_sorted_lines(other: tuple[str, ...]) -> None:
    done = msort("--run", "cat", *other, stdin=b"")
    assert done.returncode == 2
    assert b"--run is for sorted lines" in done.stderr
