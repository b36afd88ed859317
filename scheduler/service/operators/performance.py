"""Performance of a job: where its time went, by phase; stragglers, critical path, shares of nodes. Pure.

A task's life has four parts: *queue* (ready, until an agent takes it), *fetch* (until it starts: its input is brought,
an instance is made or becomes free), *run*, and *commit* (its output is made durable and is named).

- A *straggler* has run more than twice as long as the median of its phase, and at least a second longer.
- The *critical path* is the chain of tasks that the end of the job waited for. It is followed back from the task that
  was committed last: a task could not be ready before some task of the phase before was committed, and of those the
  latest is its predecessor; for a reduce task, which reads while it runs, the latest one before its end.

Example: a map task of 9 s among others of 1 s, then a reduce task of 2 s: the path has both, and shortening any other
task would not have ended the job sooner.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from scheduler.supervisor.jobs.timeline import TaskRun, Timeline

PARTS = ("queue", "fetch", "run", "commit")
STRAGGLERS = 20
FACTOR, LEAST_MS = 2, 1000


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the lives of a phase's tasks, in ms: the sum, median, 95th percentile and maximum."""

    sum: int
    median: float
    p95: int
    max: int


@dataclass(frozen=True, slots=True)
class Straggler:
    run: TaskRun
    median_ms: float

    @property
    def times(self) -> float:
        return self.run.run / self.median_ms if self.median_ms else 0.0


def parts_of(runs: Sequence[TaskRun]) -> dict[str, Part]:
    """The parts of some tasks' lives; of no tasks, nothing."""
    return {name: _part(sorted(getattr(run, name) for run in runs)) for name in PARTS} if runs else {}


def _part(values: Sequence[int]) -> Part:
    return Part(sum(values), median(values), values[min(len(values) - 1, len(values) * 95 // 100)], values[-1])


def by_phase(timeline: Timeline) -> dict[int, list[TaskRun]]:
    phases: defaultdict[int, list[TaskRun]] = defaultdict(list)
    for run in timeline.runs:
        phases[run.phase].append(run)
    return dict(sorted(phases.items()))


def stragglers(timeline: Timeline) -> list[Straggler]:
    """The tasks that took much longer than others of their phase, the slowest first."""
    found = []
    for runs in by_phase(timeline).values():
        middle = median(run.run for run in runs)
        found += [Straggler(run, middle) for run in runs if run.run > FACTOR * middle and run.run - middle >= LEAST_MS]
    return sorted(found, key=lambda one: one.run.run, reverse=True)[:STRAGGLERS]


def critical_path(timeline: Timeline, reduces: Sequence[bool]) -> list[TaskRun]:
    """The chain of tasks that the job's end waited for, the first one first. `reduces`: which phases are reduces."""
    phases = by_phase(timeline)
    if not phases:
        return []
    at = max(timeline.runs, key=lambda run: (run.phase, run.done))
    path = [at]
    for number in range(at.phase - 1, -1, -1):
        bound = at.ended if at.phase < len(reduces) and reduces[at.phase] else at.ready
        before = [run for run in phases.get(number, ()) if run.done <= bound]
        if not before:
            break
        at = max(before, key=lambda run: run.done)
        path.append(at)
    return path[::-1]


def shares(timeline: Timeline) -> list[tuple[str, int, int]]:
    """`(node, tasks, ms of running)` of each node, the busiest first."""
    tasks: Counter[str] = Counter()
    ran: Counter[str] = Counter()
    for run in timeline.runs:
        tasks[run.node] += 1
        ran[run.node] += run.run
    return [(node, tasks[node], ms) for node, ms in ran.most_common()]


def report(timeline: Timeline, phases: Sequence[Mapping[str, Any]], created: int) -> dict[str, Any]:
    """Everything above as JSON. `phases`: their usage (`phase`, `type`, …); `created`: when the job was, ms."""
    reduces = [phase["type"] == "reduce" for phase in phases]
    grouped = by_phase(timeline)
    return {
        "tasks": timeline.of,
        "sampled": len(timeline.runs) if timeline.sampled else None,
        "phases": [
            {
                "phase": phase["phase"],
                "ran": len(grouped.get(phase["phase"], ())),
                **{
                    name: {"sum": part.sum, "median": part.median, "p95": part.p95, "max": part.max}
                    for name, part in parts_of(grouped.get(phase["phase"], [])).items()
                },
            }
            for phase in phases
        ],
        "stragglers": [
            {**described(one.run, created), "times_median": round(one.times, 1)} for one in stragglers(timeline)
        ],
        "critical_path": [described(run, created) for run in critical_path(timeline, reduces)],
        "nodes": [{"node": node, "tasks": tasks, "run": ms} for node, tasks, ms in shares(timeline)],
    }


def described(run: TaskRun, created: int) -> dict[str, Any]:
    """A task as JSON; `at`: ms after the job's creation at which it became ready."""
    named = {"task": run.uuid, "input": run.input}
    return {
        "phase": run.phase,
        **{name: value for name, value in named.items() if value},
        "state": run.state,
        "node": run.node,
        "instance": run.instance,
        "at": run.ready - created,
        **{name: getattr(run, name) for name in PARTS},
    }
