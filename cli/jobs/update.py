"""mjob update: change what operations are called and what they may cost, while they run."""

from __future__ import annotations

from typing import Any

import click

from cli.frame import Command
from cli.jobs.common import for_each, job_argument, parallel_option
from cli.jobs.operations import annotations_of
from cli.when import Duration
from scheduler.model.operations.stage import MAX_TASKS
from scheduler.model.tiers import MAX_TIMEOUT_S


@click.command("update", cls=Command)
@click.option("--title", metavar="TEXT", help="Another title; an empty one removes it.")
@click.option("--description", metavar="TEXT", help="Another description; an empty one removes it.")
@click.option("--annotation", "annotations", metavar="KEY=VALUE", multiple=True,
              help="In the place of all annotations so far. Repeatable.")  # fmt: skip
@click.option("--max-failed", type=click.IntRange(1, 10_000), metavar="N", help="Fail when N attempts have failed.")
@click.option("--keep-going/--no-keep-going", default=None,
              help="Whether the others go on when a task has failed.")  # fmt: skip
@click.option("--time-limit", metavar="TIME", type=Duration(MAX_TIMEOUT_S),
              help="Fail if it takes longer, from its beginning: 90s, 15m, 2h.")  # fmt: skip
@click.option("--at-once", type=click.IntRange(1, MAX_TASKS), metavar="N", help="At most N tasks run at once.")
@click.option("--no-time-limit", is_flag=True, help="It may take any time.")
@parallel_option(100)
@job_argument
def command(
    job: tuple[str, ...],
    title: str | None,
    description: str | None,
    annotations: tuple[str, ...],
    max_failed: int | None,
    keep_going: bool | None,
    time_limit: int | None,
    no_time_limit: bool,
    at_once: int | None,
    parallel: int,
) -> None:
    """Update operations that run: title, description, annotations, and what they may cost.

    A lower number of failed attempts counts from the next failure on.

    \b
    Examples:
      mjob update --title 'errors of November' last
      mjob update --max-failed 100 --time-limit 4h 8bd3c96e
      mjob update --annotation team=search --annotation ticket=17 last
    """
    context = click.get_current_context()
    if time_limit is not None and no_time_limit:
        raise click.UsageError("--time-limit and --no-time-limit exclude each other", context)
    keys: dict[str, Any] = {
        name: text or None for name, text in (("title", title), ("description", description)) if text is not None
    }
    if annotations:
        keys["annotations"] = annotations_of(annotations)
    if max_failed is not None:
        keys["max_failed_attempts"] = max_failed
    if keep_going is not None:
        keys["on_error"] = "continue" if keep_going else "fail"
    if time_limit is not None or no_time_limit:
        keys["time_limit"] = time_limit
    if at_once is not None:
        keys["resource_limits"] = {"tasks": at_once}
    if not keys:
        raise click.UsageError("nothing to update: say --title, --max-failed, --time-limit ...", context)
    for _ in for_each(job, parallel, lambda mine, one: mine.control(one, "update", keys)):
        pass
