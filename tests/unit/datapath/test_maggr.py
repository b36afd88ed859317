"""maggr as a program."""

from __future__ import annotations

import math
import random
import struct
import subprocess
from pathlib import Path

import pytest

from datapath import libexec

TIMEOUT = 60
BAKERY = b"rye loaf 1 2\noat loaf 3 4\nrye roll 5 6\n"


def maggr(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([libexec("maggr"), *argv], input=stdin, capture_output=True, timeout=TIMEOUT, check=False)


def prints(expected: bytes, *argv: str, stdin: bytes = BAKERY) -> None:
    done = maggr(*argv, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, b"")


def refuses(first_line: str, *argv: str) -> None:
    done = maggr(*argv)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(f"Error: {first_line}\nusage: maggr ")


def test_lines_are_put_together_by_key_in_the_order_of_the_keys() -> None:
    prints(b"rye 6 8\noat 3 4\n", "-c1=key", "-c2=nop", "sum")
    prints(b"rye 6,3 8,4\noat 3,3 4,4\n", "-c1=key", "-c3=sum,mean", "-c4=sum,mean")
    prints(b"loaf 4 6\nroll 5 6\n", "-c1=nop", "-c2=key", "-c3=sum", "-c4=sum")
    prints(b"9,3\n", "-c3=sum,mean")


def test_keys_alone_are_listed_once_and_a_count_needs_a_column() -> None:
    prints(b"a\nb\n", "-c1=key", stdin=b"a\nb\na\n")
    prints(b"a\nb\n", "-c1=key", "count", stdin=b"a\nb\na\n")
    prints(b"a 2\nb 1\n", "-c1=key", "count", stdin=b"a 1\nb 1\na 1\n")


def test_all_operations_print_what_they_say_in_the_order_given() -> None:
    operations = "count,max,mean,min,range,sum,ovariance,variance,stddev"
    stdin = b"k 2\nk 4\nk 4\nk 4\nk 5\nk 5\nk 7\nk 9\n"
    expected = "8,9,5,2,7,40,4.571428571428571,4.571428571428571,2.138089935299395"
    prints(f"k {expected}\n".encode(), "-c1=key", f"-c2={operations}", stdin=stdin)
    backwards = ",".join(reversed(operations.split(",")))
    prints(f"{','.join(reversed(expected.split(',')))}\n".encode(), f"-c2={backwards}", stdin=stdin)
    prints(b"3,1\n", "sum,count,sum", stdin=b"3\n")


def test_the_variance_of_one_value_is_not_a_number() -> None:
    prints(b"NaN,NaN,NaN\n", "variance,ovariance,stddev", stdin=b"3\n")


def test_a_sum_that_is_zero_for_a_moment_stays_right() -> None:
    prints(b"0,0\n", "sum,mean", stdin=b"5\n-5\n")
    prints(b"3,1\n", "sum,mean", stdin=b"5\n-5\n3\n")


def test_delimiters_are_any_text_and_each_of_them_counts() -> None:
    prints(b"a-1,1-2,2\n", "-d:", "-o-", "-c1=key", "-c3=nop", "sum,mean", stdin=b"a:1:x:2\n")
    prints(b"a::1/1\n", "-d", "::", "-i/", "-c1=key", "sum,mean", stdin=b"a::1\n")
    prints(b"a  2\n", "-c1=key", "-c2=key", "-c3=sum", stdin=b"a  2\n")
    prints(b"a 2\n", "-d", "", "-o", "", "-c1=key", "sum", stdin=b"a 2\n")


def test_keys_that_are_indices_come_first_in_ascending_order() -> None:
    stdin = b"b\n10\n9\n4294967295\n4294967294\n007\n0\na\n-1\n1.5\n"
    expected = b"0\n9\n10\n4294967294\nb\n4294967295\n007\na\n-1\n1.5\n"
    prints(expected, "key", stdin=stdin)


def test_keys_that_read_the_same_together_are_one_group() -> None:
    prints(b"ab c 3\n", "-d ", "-c1=key", "-c2=key", "-c3=sum", stdin=b"a bc 1\nab c 2\n")


def test_lines_may_have_different_numbers_of_columns() -> None:
    prints(b"a 3 5\nb\n", "-c1=key", "sum", stdin=b"a 1\nb\na 2 5\n")
    prints(b"rye\noat\n", "-c1=key", "-c9=sum")


def test_without_anything_to_print_there_is_an_empty_line_per_group() -> None:
    prints(b"\n", "-c1=nop")
    prints(b"", "sum", stdin=b"")
    prints(b"\n", "nop", stdin=b"\n")


def test_ends_of_lines_are_lf_crlf_and_cr() -> None:
    prints(b"a 6\n", "-c1=key", "sum", stdin=b"a 1\r\na 2\ra 3")


def test_a_line_without_a_number_is_named_and_left_out() -> None:
    done = maggr("-c1=key", "sum", stdin=b"a 1 2\na x 5\nb 3apples 4\nb 1 \n")
    assert (done.returncode, done.stdout) == (1, b"a 1 2\nb 3 4\n")
    sentence = b"Non-number in non-key column %d. line: %s\n"
    assert done.stderr == sentence % (2, b"a x 5") + sentence % (3, b"b 1 ")


def test_formats_apply_to_operations_one_by_one() -> None:
    prints(b"rye 6.0     8\noat 3.0     4\n", "-c1=key", "-c3=sum", "-t3=%.1f", "-c4=sum", "-t4=%5d")
    prints(b"rye 6.0,02 0x8\noat 3.0,01 0x4\n", "-c1=key", "-c3=sum,count", "-t3=%.1f,%02d", "-c4=sum", "-t4=%#x")
    formats = ["-T", "%.2f", "-t3=%.3f", "-t4=,%#x"]
    stdin = b"rye loaf 1 2\nrye loaf 5 6\n"
    prints(b"rye 6.000,2.00 8.00,0x4\n", *formats, "-c1=key", "-c3=sum,count", "-c4=sum,range", stdin=stdin)
    prints(b"9,[3],3\n", "-T,[%d]", "-c3=sum,mean,count")
    prints(b"<  NaN>\n", "variance", "-T<%5.1f>", stdin=b"1\n")


def test_input_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BAKERY)
    prints(b"9\n", "-c3=sum", "-f", str(tmp_path / "in"), stdin=b"")
    missing = maggr("-c3=sum", "-f", "/no/file")
    assert (missing.returncode, missing.stderr) == (1, b'Error: cannot open "/no/file": No such file or directory\n')
    folder = maggr("-c3=sum", "-f", str(tmp_path))
    assert (folder.returncode, folder.stderr) == (1, b"Error: cannot read the input: Is a directory\n")


def test_the_list_of_operations_is_on_stderr() -> None:
    done = maggr("-l")
    names = b"key nop count max mean min range sum ovariance variance stddev\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", names)


def test_help_is_on_stdout() -> None:
    done = maggr("--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"usage: maggr ")


def test_mistakes_of_the_command_line_end_with_2() -> None:
    refuses("no operations specified")
    refuses("no operations specified", "-T%d")
    refuses("unsupported operation: x", "sum,x,mean")
    refuses("unsupported operation: ", "-c1=")
    refuses("no other operations can be specified for a column marked as a key", "-c1=sum,key")
    refuses("no other operations can be specified for a column marked nop", "nop,nop")
    refuses("invalid column number: x", "-c", "x=sum")
    refuses("invalid column number: 0", "-c0=sum")
    refuses("invalid column number: -1", "-c-1=sum")
    refuses("invalid column number: 99999999999999999999", "-t99999999999999999999=%d")
    refuses("invalid column format: 1", "-c1")
    refuses("invalid column format: 1=sum=x", "-c1=sum=x")
    refuses('the format "%d%d" has more than one conversion', "sum", "-T%.1f,%d%d")
    refuses("unexpected argument: mean", "sum", "mean")
    refuses("option needs a value: -d", "sum", "-d")
    refuses("unknown option: -x", "sum", "-x")


def test_a_line_may_be_longer_than_any_buffer() -> None:
    wide = b"k " + b"9" * 3_000_000
    prints(b"k Infinity\nj 1\n", "-c1=key", "sum", stdin=wide + b"\nj 1\n")
    prints(b"x" * 1_000_000 + b" 3\n", "-c1=key", "sum", stdin=(b"x" * 1_000_000 + b" 1.5\n") * 2)
    too_wide = maggr("sum", stdin=b"1 " * 70_000)
    assert (too_wide.returncode, too_wide.stderr) == (1, b"Error: a line has more than 65536 columns\n")


def test_a_full_disk_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([libexec("maggr"), "sum"], input=b"1\n", stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"Error: cannot write the output: No space left on device\n")


def test_many_groups_are_kept_apart() -> None:
    keys = [f"k{number % 50_000}" for number in range(120_000)]
    stdin = "".join(f"{key} 1\n" for key in keys).encode()
    done = maggr("-c1=key", "sum", stdin=stdin)
    assert done.stdout.count(b"\n") == 50_000
    assert done.stdout.startswith(b"k0 3\nk1 3\n")
    assert done.stdout.endswith(b"k49999 2\n")


@pytest.mark.parametrize("seed", [1, 2])
def test_numbers_are_printed_with_the_fewest_digits(seed: int) -> None:
    """Python writes doubles with the same digits, and places the point in another way."""
    random.seed(seed)
    values = [struct.unpack("<d", random.randbytes(8))[0] for _ in range(5000)]
    values += [math.ldexp(1, power) for power in range(-1074, 1024)] + [random.random() for _ in range(1000)]
    values = [abs(value) for value in values if math.isfinite(value)]
    stdin = "".join(f"k{index} {value!r}\n" for index, value in enumerate(values)).encode()
    lines = maggr("-c1=key", "sum", stdin=stdin).stdout.decode().splitlines()
    for value, line in zip(values, lines, strict=True):
        printed = line.split()[1]
        assert float(printed) == value
        assert significant(printed) == significant(repr(value))


def significant(text: str) -> str:
    return text.split("e")[0].replace(".", "").strip("0")
