"""The pictures of a report: which form a file gets, and what is said without the package that draws PNG."""

from __future__ import annotations

import sys

import pytest

from cli.client.problem import Problem
from cli.mrjobreport import rasterizer
from cli.mrjobreport.stream import stream
from scheduler.supervisor.jobs.timeline import TaskRun, Timeline

PNG = b"\x89PNG\r\n\x1a\n"


def timeline(tasks: int) -> Timeline:
    def run(number: int) -> TaskRun:
        at = 10 * (number // 4)
        return TaskRun(0, "done", "node", str(number % 4), at, at + 1, at + 2, at + 8, at + 9)

    return Timeline([run(number) for number in range(tasks)], tasks)


def test_ten_thousand_tasks_are_a_small_picture():
    assert len(stream(timeline(10_000), 0, alone=True)) < 1_000_000


def test_a_picture_is_drawn_as_png_twice_as_large():
    drawn = rasterizer()(stream(timeline(40), 0, alone=True))
    assert drawn.startswith(PNG)
    assert int.from_bytes(drawn[16:20], "big") == 2000


def test_without_the_package_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(Problem, match=r"pip install 'remora\[report\]'.*or -o FILE.svg"):
        rasterizer()
