"""mjob replay: a task of a job on this machine: its input, assets and script."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from cli.bulk.local import Parts, Target
from cli.client import objects
from cli.client.problem import Problem
from cli.frame import Command, note
from cli.jobs.common import complete_job, jobs, only
from cli.text import count

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

REQUESTS = 8  # at once
EXECUTABLE = 0o755


@click.command("replay", cls=Command)
@click.option("-C", "--directory", metavar="DIR", type=click.Path(),
              help="Write into DIR.  [default: replay-, and the job's first 8 characters]")  # fmt: skip
@click.argument("words", metavar="job [task]", nargs=-1, shell_complete=complete_job)
def command(words: tuple[str, ...], directory: str | None) -> None:
    """Write what a task of a job had into a directory of this machine, to run its script here: ./run.sh.

    Without a task, by its id or the beginning of it (see mjob tasks), it is the first that failed. The directory gets
    its input, the variables (env), the script (run.sh), assets/, and what its failure left (stderr, stdout, core). A
    script's /assets/ are those beside it. What init did is in init.sh, which does not run by itself.

    Inputs that are not kept are made again, as for mjob shell. The tools of tasks (mpipe, mcat, mtee, msplit) and
    their service at MANTA_URL are not there, and neither is the image.

    \b
    Examples:
      mjob replay last && bash -x replay-*/run.sh
      mjob replay -C /tmp/try nightly 0b92

    Exit status: 0, or 1 if something could not be written.
    """
    if not 1 <= len(words) <= 2:
        raise click.UsageError("a job, and a task of it if need be", click.get_current_context())
    with jobs() as mine:
        job = only(mine, words[:1])
        goal = directory or f"replay-{job[:8]}"
        write(mine, job, words[1] if len(words) > 1 else None, goal)
    print(os.path.join(goal, "run.sh"))


def write(mine: Jobs, job: str, word: str | None, goal: str) -> None:
    """Write a task's files below a directory. Raises `Problem`, `OSError`."""
    from cli.postmortem.inputs import input_of
    from cli.postmortem.scripts import local
    from cli.postmortem.tasks import find

    status = mine.status_or_archive(job)
    task = find(mine, job, status, word)
    phase, target = status["phases"][task.phase], Target(goal)
    with input_of(mine, job, status, task, note) as path:
        assets: dict[str, Parts] = {asset: ("assets", *asset.split("/")[1:]) for asset in phase.get("assets", ())}
        fetch(mine, target, {path: ("input",)} | {left: (name,) for name, left in task.left.items()} | assets)
    for asset in assets.values():
        os.chmod(target.shown(asset), EXECUTABLE)
    for name, text in local(task, phase, mine.account, job).items():
        with target.writing((name,), text) as file:
            file.truncate(0)
            file.write(text.encode("utf-8", "surrogateescape"))
            os.fchmod(file.fileno(), EXECUTABLE if name.endswith(".sh") else 0o644)


def fetch(mine: Jobs, target: Target, wanted: Mapping[str, Parts]) -> None:
    """Fetch objects into files below the target. Raises `Problem` if any fails."""
    from cli.bulk.download import Download
    from cli.commands.mls import object_entry
    from cli.commands.mput import bulk

    run = bulk(mine.session, quiet=True, progress=False, parallel=REQUESTS, as_json=False)
    download = Download(mine.session, run, target, REQUESTS)
    with run:
        for path, parts in wanted.items():
            try:
                target.make(parts[:-1])
                download.one(path, object_entry(objects.info(mine.session, path)), parts)
            except (Problem, OSError) as error:
                run.fail(path, error)
    if failed := run.counts["failed"]:
        raise Problem(f"{count(failed, 'file')} of the task could not be fetched")
