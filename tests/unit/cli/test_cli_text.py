"""How things look: sizes, dates, names, shell completion."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
from click.testing import CliRunner

from cli import text
from cli.completion.scripts import SHELLS, script
from cli.main import PROGRAMS
from cli.meter import ByteMeter
from scheduler.model import dates


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0"), (44, "44"), (1023, "1023"), (1024, "1K"), (1536, "1.5K"), (1 << 20, "1M"), (1300000, "1.24M"),
     (5 << 30, "5G"), (3 << 40, "3T"), (2000 << 40, "2000T")],
)  # fmt: skip
def test_sizes_for_people(size: int, shown: str) -> None:
    assert text.human_size(size) == shown


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.usefixtures("utc")
def test_dates_show_the_time_until_they_are_half_a_year_old() -> None:
    iso = "2012-09-01T07:05:00.000Z"
    then = dates.parse_iso(iso)
    assert then is not None
    month = 30 * 24 * 3600 * 1000
    assert text.short_date(iso, then + month) == "Sep 01 07:05"
    assert text.short_date(iso, then + 7 * month) == "Sep 01  2012"
    assert text.short_date(iso, then + month, pad=False) == "Sep 1 07:05"
    assert text.short_date(iso, then + 7 * month, pad=False) == "Sep 1 2012"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a b", "a b"), ("a\nb", "a\\nb"), ("a\\b", "a\\\\b"), ('a"b', 'a"b'), ('\\"', '\\\\"'),
     ("\x1b[", "\\u001b["), ("ü", "ü")],
)  # fmt: skip
def test_names_take_one_line(name: str, shown: str) -> None:
    assert text.escape(name) == shown


def test_counts_have_their_plural() -> None:
    assert [text.count(number, "input") for number in (0, 1, 2)] == ["0 inputs", "1 input", "2 inputs"]


def test_a_transfer_shows_share_and_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0])
    monkeypatch.setattr("cli.meter.time.monotonic", lambda: next(clock))
    meter = ByteMeter("lear.txt", 4096, show=False)
    meter.moved = 1024
    assert meter.line() == "lear.txt  1K of 4K  25%  512/s"


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_for_every_program(shell: str) -> None:
    made = script(shell, list(PROGRAMS))
    assert all(f"_{program.upper()}_COMPLETE" in made for program in PROGRAMS)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=made.encode(), check=True)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_and_sub_command_has_help_with_an_example_or_sub_commands(program: str) -> None:
    from importlib import import_module

    command = import_module(PROGRAMS[program]).command
    subs = [[name] for name in getattr(command, "_modules", {})]
    for words in [[], *subs]:
        result = CliRunner().invoke(command, [*words, "--help"], prog_name=program)
        assert result.exit_code == 0, result.output
        assert "usage: " in result.output
        assert "Example" in result.output or words in (["version"], ["demo"]) or program == "remora"
