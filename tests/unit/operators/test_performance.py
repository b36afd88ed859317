"""Where the time of a job went: parts of tasks' lives, stragglers, the critical path; and the page that shows it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from cli.jobs.cost import priced, summed
from cli.mrjobreport import numbers
from cli.mrjobreport.page import page
from cli.mrjobreport.stream import step_of, stream
from scheduler.model.wire import AttemptReport, Outcome
from scheduler.service.operators import performance
from scheduler.service.operators.errors import MOST_KINDS, Errors
from scheduler.service.operators.job_record import JobRecord
from scheduler.supervisor.jobs.timeline import TaskRun, Timeline, packed, unpacked
from scheduler.supervisor.tasks import times

CREATED = 1_700_000_000_000


def ran(phase: int, ready: int, run: int, name: str = "", *, node: str = "n1", wait: int = 10) -> TaskRun:
    """A task that became ready so many ms after the job, waited in each part for `wait`, and ran for `run`."""
    first = CREATED + ready
    started = first + 2 * wait
    moments = (first, first + wait, started, started + run, started + run + wait)
    return TaskRun(phase, "committed", node, f"i{phase}", *moments, run // 2, f"u-{name}", name)


def record(runs: list[TaskRun], of: int | None = None, name: str = "") -> JobRecord:
    """A job of a map and a reduce phase."""
    phases = [
        {
            "phase": at,
            "type": kind,
            "memory": 1024,
            "disk": 8,
            "tasks": 5,
            "wall_us": 4_000_000,
            "cpu_us": 9,
            "bytes_in": 1,
        }
        | {"bytes_out": 2, "max_rss_kb": 3}
        for at, kind in enumerate(("map", "reduce"))
    ]
    stats = {"errors": 0, "outputs": 1, "retries": 0, "tasks": len(runs), "tasksDone": len(runs)}
    status = {"name": name, "state": "done", "cancelled": False, "timeCreated": "t", "stats": stats}
    status["phases"] = [{"type": "map", "exec": f"wc {name}"}, {"type": "reduce", "exec": "cat"}]
    found = Timeline(runs, len(runs) if of is None else of)
    return JobRecord("8bd3c96e-0000-4000-8000-000000000000", "jill", status, phases, found, CREATED)


def test_the_life_of_a_task_is_divided_into_four_parts_that_add_up():
    run = ran(0, 5, 100)
    assert (run.queue, run.fetch, run.run, run.commit) == (10, 10, 100, 10)
    assert run.queue + run.fetch + run.run + run.commit == run.done - run.ready
    (part, *_) = performance.parts_of([ran(0, 0, 1, wait=n) for n in range(101)]).values()
    assert (part.sum, part.median, part.p95, part.max) == (5050, 50, 95, 100)
    assert performance.parts_of([]) == {}


def test_a_straggler_ran_far_longer_than_its_phase_and_not_only_by_a_factor():
    runs = [ran(0, 0, 1000, f"a{n}") for n in range(9)] + [ran(0, 0, 5000, "slow")]
    runs += [ran(1, 0, 10, f"b{n}") for n in range(9)] + [ran(1, 0, 500, "short")]
    (found,) = performance.stragglers(Timeline(runs, len(runs)))
    assert (found.run.input, found.median_ms, found.times) == ("slow", 1000, 5)


def test_the_critical_path_has_the_tasks_that_the_end_waited_for():
    early, late, useless = ran(0, 0, 100, "early"), ran(0, 0, 9000, "late"), ran(0, 0, 12_000, "useless")
    last = ran(1, 9050, 500, "last")
    path = performance.critical_path(Timeline([early, late, useless, last], 4), [False, False])
    assert [run.input for run in path] == ["late", "last"]
    assert performance.critical_path(Timeline([], 0), [False]) == []
    reduce = ran(1, 50, 9500, "reduce")  # which read all the while
    path = performance.critical_path(Timeline([early, late, reduce], 3), [False, True])
    assert [run.input for run in path] == ["late", "reduce"]


def test_a_timeline_goes_into_the_archive_and_comes_back():
    runs = [ran(at % 2, at * 7, at * 11, f"/jill/stor/{at}", node=f"n{at % 3}") for at in range(100)]
    stored = json.loads(json.dumps(packed(Timeline(runs, 100), CREATED)))
    back = unpacked(stored, CREATED)
    assert back.of == 100
    assert [run.input for run in back.runs[50:]] == [run.input for run in runs[50:]]  # the slowest have their names
    for before, after in zip(runs, back.runs, strict=True):
        assert (before.node, before.instance, before.phase, before.state) == (
            (after.node, after.instance, after.phase, after.state)
        )
        assert [before.ready, before.leased, before.started, before.ended, before.done, before.cpu_ms] == (
            [after.ready, after.leased, after.started, after.ended, after.done, after.cpu_ms]
        )


@pytest.mark.parametrize(
    ("started", "ended", "expected"),
    [(1_000_000, 8_000_000, (1000, 8000)), (0, 1 << 44, (0, 9000)), (8_000_000, 1_000_000, (8000, 8000))],
)
def test_times_of_a_task_are_in_order_whatever_its_agent_says(started, ended, expected):
    row = {"ready": CREATED - 50, "leased": CREATED}
    report = AttemptReport(task=1, attempt=1, outcome=Outcome.OK, started_us=started, ended_us=ended, instance="i")
    found = json.loads(times.ran(row, report, "n1", CREATED + 9000, 9_000_000))
    assert (found["started"] - CREATED, found["ended"] - CREATED) == expected
    assert CREATED - 50 == found["ready"] <= found["leased"] <= found["started"] <= found["ended"] <= found["done"]
    assert times.ran(row, report, "n1", CREATED, 0) is None


class Loaded(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "link", "img", "iframe", "object") or any(name in ("src", "href") for name, _ in attrs):
            self.found.append(tag)


def test_the_report_of_10000_tasks_is_one_small_page_that_loads_nothing():
    name = '<script>alert(1)</script>"\x1b[31m'
    runs = [ran(at % 2, at * 3, 100 + at % 977, f"/jill/stor/{name}{at}", node=f"n{at % 40}") for at in range(10_000)]
    found = record(runs, of=40_000, name=name)
    report = numbers(found, 0.5)
    html = page(found, report)
    assert len(html.encode()) < 2_000_000
    parser = Loaded()
    parser.feed(html)
    assert parser.found == []
    assert "\x1b" not in html
    assert "<script>" not in html
    assert html.count("h2>") == 12
    assert "10000 of 40000 tasks" in html
    assert "default-src &#x27;none&#x27;" in html or "default-src 'none'" in html


def test_the_sums_of_the_report_are_those_of_mjob_cost():
    found = record([ran(0, 0, 100)])
    report = numbers(found, None)
    assert report["cost"] == [priced(phase, None) for phase in found.phases]
    assert report["total"] == summed(report["cost"])
    assert report["total"]["gb_seconds"] == 8


def test_the_task_stream_has_a_bar_for_each_task_and_round_times():
    svg = stream(Timeline([ran(0, 0, 1000), ran(1, 1500, 500)], 2), CREATED, alone=True)
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    bars = re.findall(r'<path d="([^"]*)" fill="#', svg)
    assert [path.count("z") for path in bars] == [1, 1]
    assert [step_of(span) for span in (1, 8, 100, 9_000, 3_600_000)] == [1, 1, 20, 2000, 500_000]
    assert "<svg" in stream(Timeline([], 0), CREATED, alone=False)


def test_errors_are_grouped_by_code_and_what_is_left_of_the_message_without_names():
    errors = Errors()
    errors.add("jill", "j1", [{"code": "A", "message": f'no such object: "/jill/stor/{n}"'} for n in range(3)])
    errors.add(
        "bob", "j2", [{"code": "A", "message": 'no such object: "/bob/stor/x"'}, {"code": "B", "message": "code 3"}]
    )
    first, second = errors.kinds()
    assert (first.count, first.jobs, first.accounts) == (4, {"j1", "j2"}, {"jill", "bob"})
    assert first.message == 'no such object: "…"'
    assert first.example["message"] == 'no such object: "/jill/stor/0"'
    assert (second.code, second.message) == ("B", "code 3")
    many = Errors("A")
    many.add("jill", "j", ({"code": "A", "message": f"kind {n}"} for n in range(MOST_KINDS + 5)))
    many.add("jill", "j", [{"code": "B", "message": "x"}])
    assert len(many.kinds()) == MOST_KINDS + 1
    assert many.kinds()[0].count == 5
