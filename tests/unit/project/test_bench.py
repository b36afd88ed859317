"""The benchmark's own arithmetic: a table that flatters is worse than none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import main, measure
from bench.disk import is_without
from bench.foreign import own_ticks
from bench.measure import Bar, Line, SkippedError, interleave
from bench.rows import ROWS
from bench.setting import Setting, words
from bench.table import Measured, as_json, compared, number, render
from tests.support.eventually import eventually_here


def test_contestants_take_turns_every_other_round_backwards() -> None:
    order: list[str] = []

    def contestant(name: str, sample: float):
        def turn() -> float:
            order.append(name)
            return sample

        return turn

    assert interleave(3, contestant("a", 1.0), contestant("b", 2.0)) == [[1.0] * 3, [2.0] * 3]
    assert "".join(order) == "abbaab"


def test_a_ratio_is_taken_within_each_round_and_the_median_counts() -> None:
    line = Line("x", "GB/s", [1.0, 9.0, 30.0], Bar(1.0), "cat", [2.0, 3.0, 10.0])
    assert line.ratios == [0.5, 3.0, 3.0]
    assert line.figure == 3.0


@pytest.mark.parametrize(
    ("bar", "ours", "verdict"),
    [
        (Bar(0.6, 0.8), 0.59, "NOT met, goal not met"),
        (Bar(0.6, 0.8), 0.6, "met, goal not met"),
        (Bar(0.6, 0.8), 0.81, "met, goal met"),
        (Bar(goal=2.0), 1.9, "goal not met"),
        (Bar(150, 100, absolute=True, at_most=True), 151, "NOT met, goal not met"),
        (Bar(150, 100, absolute=True, at_most=True), 100, "met, goal met"),
    ],
)
def test_the_verdict_compares_the_right_figure_the_right_way(bar: Bar, ours: float, verdict: str) -> None:
    assert Line("x", "ms", [ours], bar, "peer", [1.0]).verdict == verdict


def test_an_absolute_bar_does_not_look_at_the_peer() -> None:
    assert Line("x", "ms", [10.0], Bar(20, absolute=True, at_most=True), "peer", [0.1]).verdict == "met"


@pytest.mark.parametrize(
    ("value", "text"), [(0.2839, "0.284"), (42.81, "42.8"), (999.4, "999"), (12340.2, "12,340"), (1.0, "1")]
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_shows_figures_peer_spread_bar_and_verdict() -> None:
    line = Line("feeding", "GB/s", [4.0, 3.0, 5.0], Bar(0.9), "cat", [2.0, 2.0, 2.0])
    shown = render([line]).splitlines()[1].split("  ")
    assert [cell.strip() for cell in shown if cell.strip()] == [
        "feeding", "4 GB/s", "cat: 2 GB/s", "2.00x (1.50-2.50)", ">= 0.9x", "-", "met",
    ]  # fmt: skip


def test_json_has_every_sample() -> None:
    line = Line("x", "ms", [3.0, 1.0, 2.0], Bar(5, absolute=True, at_most=True))
    (record,) = json.loads(json.dumps(as_json([Measured("row", line, 0.25)])))
    assert (record["row"], record["foreign"]) == ("row", 0.25)
    assert (record["ours"], record["figure"], record["verdict"], record["peer"]) == ([3.0, 1.0, 2.0], 2.0, "met", None)


def test_figures_are_compared_with_those_of_an_earlier_run_of_the_same_line() -> None:
    earlier = as_json([Measured("row", Line("x", "ms", [50.0], Bar(5, absolute=True)), 0.0)])
    now = [Measured("row", Line(what, "ms", [40.0], Bar(5, absolute=True)), 0.0) for what in ("x", "y")]
    shown = [line.split() for line in compared(now, earlier).splitlines()[1:]]
    assert shown == [["x", "-", "40", "ms", "50", "ms", "0.80"], ["y", "-", "40", "ms", "-", "-"]]


def test_a_bar_that_is_missed_is_the_exit_status_but_for_a_smoke_run(monkeypatch, capsys) -> None:
    monkeypatch.setitem(ROWS, "slow", lambda _: iter([Line("x", "ms", [6.0], Bar(5, absolute=True, at_most=True))]))
    assert main(["slow"]) == 1
    assert main(["--smoke", "slow"]) == 0


def test_what_descends_from_this_process_is_no_foreign_load() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    before = own_ticks()
    with subprocess.Popen([sys.executable, "-S", "-c", burn]) as child:
        eventually_here(lambda: own_ticks() - before >= 20, "its time counts while it runs")
        child.wait()
    assert own_ticks() - before >= 25


def test_a_row_that_skips_keeps_the_lines_it_gave_and_says_why(monkeypatch, tmp_path) -> None:
    def row(_: Setting):
        yield Line("x", "ms", [1.0], Bar(5, absolute=True))
        raise SkippedError("no such tool here")

    monkeypatch.setitem(ROWS, "odd", row)
    results = measure(Setting(tmp_path), ["odd"])
    assert [(each.row, each.line.what) for each in results.measured] == [("odd", "x")]
    assert results.skipped == [("odd", "no such tool here")]


def test_a_row_that_fails_keeps_the_figures_of_others(monkeypatch, capsys) -> None:
    def broken(setting: Setting):
        yield Line("before", "s", [1.0], Bar(absolute=True))
        raise OSError("the disk is full")

    monkeypatch.setitem(ROWS, "broken", broken)
    monkeypatch.setitem(ROWS, "whole", lambda setting: iter([Line("after", "s", [2.0], Bar(absolute=True))]))
    assert main(["--smoke", "broken", "whole"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^before .*^after .*^FAILED in broken: OSError: the disk is full$", out, re.DOTALL | re.MULTILINE)


def test_texts_are_so_many_times_as_large_in_one_round(tmp_path, capsys) -> None:
    larger = Setting(tmp_path, times=4)
    assert (larger.text_size(10, 1), larger.size(10, 1), larger.rounds) == (40, 10, 1)
    with pytest.raises(SystemExit):
        main(["--times", "0", "sorting"])
    assert "--times is how many times as much, 1 or more: 0" in capsys.readouterr().err


def test_an_unknown_row_is_refused_with_the_names_there_are(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["quick"])
    assert 'no such row: "quick" (there are: one, many,' in capsys.readouterr().err


def test_a_row_runs_for_real(capsys) -> None:
    assert main(["--smoke", "supervisor"]) == 0
    out = capsys.readouterr().out
    assert "supervisor alone" in out
    assert "A smoke run" in out


def test_made_up_words_are_the_same_each_time_and_of_the_size_asked_for() -> None:
    assert words(1000) == words(1000)
    assert len(words(3_000_000)) == 3_000_000
    assert len({*words(50_000).split()}) > 100


def test_a_disk_that_makes_small_files_slowly_is_known(tmp_path: Path) -> None:
    mounted, journals = tmp_path / "ext4", tmp_path / "jbd2"
    for folder in (mounted / "vda", mounted / "vdb", mounted / "dm-0", journals / "vda-8", journals / "dm-0-8"):
        folder.mkdir(parents=True)
    devices = ("vda", "vdb", "dm-0", "sda")  # sda has another file system
    assert [is_without(device, mounted, journals) for device in devices] == [False, True, False, False]
    assert is_without("vdb", mounted, tmp_path / "none")
