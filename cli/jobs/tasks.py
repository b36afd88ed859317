"""mjob tasks: the tasks of a job, how each stands and what it took."""

from __future__ import annotations

import json
import re
import signal as signals
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import click

from cli import table, text
from cli.client.problem import NoSuchJob, Problem
from cli.frame import Command
from cli.jobs.common import jobs, one_job_argument, only
from cli.jobs.cost import duration
from scheduler.model import dates

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

Task = dict[str, Any]
Endings = dict[tuple[str, str | None], list[tuple[str, str]]]  # by phase and input, which reducers have none
STATES = ("waiting", "ready", "running", "done", "failed", "cancelled")
PAGE = 1000  # tasks whose columns are as wide as each other
HEADS = ("TASK", "PHASE", "STATE", "TRIES", "WALL", "CPU", "MEMORY", "IN", "OUT", "INPUT")
JOBLOG = ("Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command")
EXITED = re.compile(r"user command exited with code ([0-9]{1,3})\b")
UNKNOWN = ("1", "0")
KILLED = re.compile(r"user command terminated by (SIG\w{1,16})")


@click.command("tasks", cls=Command)
@click.option("-s", "--state", metavar="STATE", type=click.Choice(STATES),
              help=f"Only tasks in this state: {', '.join(STATES)}.")  # fmt: skip
@click.option("--stage", type=click.IntRange(min=0), metavar="N", help="Only tasks of a stage, or of a phase.")
@click.option("--task", type=click.IntRange(min=0), metavar="N", help="Only tasks with this number, of an operation.")
@click.option("--joblog", "as_joblog", is_flag=True, help="As GNU parallel's --joblog writes it.")
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object a line, times in µs, as the service says.")
@one_job_argument
def command(
    job: tuple[str, ...], state: str | None, stage: int | None, task: int | None, as_joblog: bool, as_json: bool
) -> None:
    """Print the tasks of a job, phase by phase: state, attempts, times, memory, bytes in and out, input.

    A job has its tasks while it has a record: until a day after its end. A task of an operation that reads a slice
    has its name in the place of an input, STAGE.NUMBER: see mjob input, mjob stderr.

    \b
    Examples:
      mjob tasks last
      mjob tasks -s running last
      mjob tasks --json last | jq -r 'select(.usage.wall_us > 1e6) | .input'
    """
    if as_joblog and as_json:
        raise click.UsageError("--joblog and --json exclude each other", click.get_current_context())
    with jobs() as mine:
        wanted = only(mine, job)
        narrowing = {"state": state, "stage": stage, "task": task}
        found = tasks(mine, wanted, **{key: str(value) for key, value in narrowing.items() if value is not None})
        if as_json:
            for each in found:
                print(text.compact(each))
        elif as_joblog:
            joblog(mine, wanted, found, sys.stdout)
        else:
            show_table(found)


def tasks(mine: Jobs, job: str, **only: str) -> Iterator[Task]:
    """The tasks of a job. Raises `Problem` if they are not known any more."""
    try:
        return mine.tasks(job, **only)
    except NoSuchJob:
        mine.status_or_archive(job)  # raises if there never was such a job
        raise Problem(
            f"the tasks of job {job} are not known any more: its record is gone, a day after its end"
        ) from None


def show_table(found: Iterable[Task]) -> None:
    rows: list[tuple[str, ...]] = [HEADS]
    for task in found:
        rows.append(row(task))
        if len(rows) > PAGE:
            print_rows(rows)
            rows = [HEADS]
    print_rows(rows)


def print_rows(rows: list[tuple[str, ...]]) -> None:
    for line in table.lines(rows, left=(0, 2, 9)):
        print(line)


def row(task: Task) -> tuple[str, ...]:
    usage = task.get("usage")
    took = ("", "", "", "", "")
    if usage:
        took = (
            duration(usage["wall_us"]),
            duration(usage["user_us"] + usage["sys_us"]),
            text.human_size(usage["max_rss_kb"] * 1024),
            text.human_size(usage["bytes_in"]),
            text.human_size(usage["bytes_out"]),
        )
    state, tries = str(task["state"]), str(task["attempts"])
    return (str(task["taskId"])[:8], str(task["phaseNum"]), state, tries, *took, text.escape(input_of(task)))


def input_of(task: Task) -> str:
    """What a task reads; of a reducer its number, and of a task of slices its name (`1.17`)."""
    if "task" in task and "input" not in task:
        return f"{task['phaseNum']}.{task['task']}"
    return str(task["input"]) if "input" in task else f"reduce {task.get('reducer', 0)}"


def write_joblog(mine: Jobs, job: str, file: str) -> None:
    """Write the tasks of a job to a local file as GNU parallel's `--joblog` does. Raises `Problem`, `OSError`."""
    with open(file, "w", encoding="utf-8", errors="surrogateescape") as log:
        joblog(mine, job, tasks(mine, job), log)


def joblog(mine: Jobs, job: str, found: Iterable[Task], log: TextIO) -> None:
    """A head and a line for each task that has ended, its command being that of its phase and its input.

    Host is `:` as for what parallel runs itself; the start of a task is not recorded, so the column has the job's.
    """
    status = mine.status_or_archive(job)
    start = (dates.parse_iso(str(status["timeCreated"])) or 0) / 1000
    ends = endings(mine, job) if status["stats"]["errors"] else {}
    log.write("\t".join(JOBLOG) + "\n")
    ended = (task for task in found if task["state"] in ("done", "failed"))
    for number, task in enumerate(ended, 1):
        usage = task.get("usage") or {}
        exit_value, signal = "0", "0"
        if task["state"] == "failed":
            told = ends.get((str(task["phaseNum"]), task.get("input")))
            exit_value, signal = told.pop() if told else UNKNOWN
        took = f"{usage.get('wall_us', 0) / 1e6:.3f}"
        size = (str(usage.get("bytes_in", 0)), str(usage.get("bytes_out", 0)))
        ran = f"{text.shortened(command_of(status, task), 1000)} < {text.escape(input_of(task))}"
        log.write("\t".join((str(number), ":", f"{start:.3f}", took, *size, exit_value, signal, ran)) + "\n")


def command_of(status: Task, task: Task) -> str:
    """The command of a task: that of its phase, or of the script of its operation."""
    phases = status["phases"]
    return str(phases[task["phaseNum"]]["exec"] if phases else status.get("spec", {}).get("exec", status.get("type")))


def endings(mine: Jobs, job: str) -> Endings:
    """Exit value and signal of the tasks that failed, by phase and input, as far as messages say them."""
    found: Endings = defaultdict(list)
    for line in mine.records(job, "err"):
        record = json.loads(line)
        found[(str(record.get("phase")), record.get("input"))].append(ending(str(record.get("message"))))
    return found


def ending(message: str) -> tuple[str, str]:
    """`("3", "0")` of a command that exited with code 3; `("0", "9")` of one that SIGKILL ended; else `("1", "0")`."""
    if match := EXITED.match(message):
        return match[1], "0"
    if match := KILLED.match(message):
        return "0", str(int(getattr(signals, match[1], 0)))
    return UNKNOWN
