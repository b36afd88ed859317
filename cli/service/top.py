"""remora top: what goes on, live."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import table, text, when
from cli.frame import Plain
from cli.service.account_options import json_option, look, records, with_records

if TYPE_CHECKING:
    from scheduler.service.operators.overview import JobNow, Overview

HOME, CLEAR = "\x1b[H", "\x1b[J"
JOB_HEADS = ("ID", "ACCOUNT", "NAME", "DONE", "READY", "AGE", "WAITS FOR")
NODE_HEADS = ("NODE", "RUNS", "MEMORY", "DISK", "SEEN")
ROWS, NAME_WIDTH, REASON_WIDTH = 20, 24, 80


@click.command("top", cls=Plain)
@click.option("-d", "--delay", type=click.FloatRange(min=0.1), default=2.0, show_default=True, metavar="SECONDS",
              help="Time between two screens.")  # fmt: skip
@click.option("-n", "--count", "screens", type=click.IntRange(min=1), metavar="N",
              help="End after N screens. [default: with Ctrl-C; 1 where stdout is no terminal]")  # fmt: skip
def command(delay: float, screens: int | None, as_json: bool, state_dir: Path | None) -> None:
    """Show what goes on, of all accounts: jobs, tasks a second, nodes, memory and disk, and how long tasks wait.

    A screen every two seconds, until Ctrl-C; in a pipe one screen. Tasks a second are those that have ended between two
    screens. Memory and disk are those of this machine, if the state directory is here.

    \b
    Examples:
      remora top
      remora top -n 2 -d 10 --json | tail -1 | jq '[.tasks_per_second, .queue_age_s]'
    """
    left = screens or (None if sys.stdout.isatty() else 1)
    before = None
    while True:
        now = snapshot(state_dir)
        if as_json:
            print(text.compact(now.as_json(before)), flush=True)
        else:
            live = sys.stdout.isatty()
            show("\n".join(lines(now, before, shutil.get_terminal_size().columns if live else None)), live=live)
        before = now
        left = None if left is None else left - 1
        if left == 0:
            return
        time.sleep(delay)


def snapshot(state_dir: Path | None) -> Overview:
    from scheduler.service.operators import overview

    now = look(state_dir, overview.overview)
    where = records(state_dir)
    return replace(now, machine=overview.machine(where)) if isinstance(where, Path) else now


def show(screen: str, *, live: bool) -> None:
    """Print a screen in place of the last one, or below it."""
    if live:
        click.echo(HOME + CLEAR, nl=False, file=sys.__stdout__)  # past the filter of control characters
    print(screen, flush=True)


def lines(now: Overview, before: Overview | None, width: int | None) -> list[str]:
    """A screen as lines: totals, the machine, nodes, and the jobs that have most tasks to do."""
    rate = f"{now.tasks_per_second(before):.1f} tasks/s, " if before is not None else ""
    running = ", ".join(f"{login} {tasks}" for login, tasks in sorted(now.running_by_account.items()))
    head = [
        f"{text.count(len(now.jobs), 'job')}, {rate}{now.running} running, {now.ready} ready, "
        f"longest wait {when.short(now.queue_age_s)}, {text.count(now.supervisors, 'supervisor')}",
        *([f"running by account: {running}"] if running else []),
    ]
    if (machine := now.machine) is not None:
        size = text.human_size
        head.append(
            f"memory {size(machine.memory_free)} free of {size(machine.memory)}, "
            f"disk {size(machine.disk_free)} free of {size(machine.disk)}"
        )
    nodes = [
        (node.name, str(node.running), f"{node.memory_mb} MB", f"{node.disk_gb} GB", ago(now.at, node.seen))
        for node in now.nodes
    ]
    jobs = sorted(now.jobs, key=lambda job: job.tasks - job.done, reverse=True)[:ROWS]
    found = [line[:width] for line in head]
    if nodes:
        found += ["", *table.lines([NODE_HEADS, *nodes], left=(0,), width=width)]
    if jobs:
        found += ["", *table.lines([JOB_HEADS, *(row(job, now.at) for job in jobs)], left=(0, 1, 2, 6), width=width)]
    return found


def row(job: JobNow, now: int) -> tuple[str, ...]:
    return (
        job.id[:8],
        job.account,
        text.escape(text.shortened(job.name, NAME_WIDTH)),
        f"{job.done}/{job.tasks}",
        str(job.ready),
        ago(now, job.created),
        text.escape(text.shortened(job.waiting, REASON_WIDTH)),
    )


def ago(now: int, at: int) -> str:
    return when.short(max(0, now - at) / 1000)


with_records(command, json_option())
