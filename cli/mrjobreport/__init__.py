"""mrjobreport: a job's performance, as a page with pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.client.problem import Problem
from cli.frame import Plain, note
from cli.jobs.cost import priced, summed
from cli.mrjob.records import recorded
from cli.service.account_options import with_store

if TYPE_CHECKING:
    from scheduler.service.operators.job_record import JobRecord


@click.command("mrjobreport", cls=Plain)
@click.argument("job")
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path),
              help="Where to write, - for stdout: a page, or the task stream as .svg or .png. [default: "
                   "report-ID.html, of --svg and --json stdout]")  # fmt: skip
@click.option("--svg", is_flag=True, help="Only the task stream: which task ran where and when, as SVG.")
@click.option("--json", "as_json", is_flag=True, help="The numbers, as one JSON object.")
@click.option("--price", type=click.FloatRange(min=0), metavar="DOLLARS", help="Price of a GB·s: adds dollars.")
def command(
    job: str,
    output: Path | None,
    svg: bool,
    as_json: bool,
    price: float | None,
    objects: Path | None,
    state_dir: Path | None,
) -> None:
    """Write a report about the performance of a job of any account: one page, which needs no network to be read.

    It has the task stream (time × instance), the time in queue, fetch, run and commit by phase, stragglers, the
    critical path, the shares of the nodes, and what it took, with the sums of mjob cost. A job is reported on while it
    runs, when it is done, and from its archive; of more than 20,000 tasks a sample is drawn. See mrjob explain for what
    the words mean.

    A PNG is drawn by resvg-py, which pip install 'remora[report]' brings.

    \b
    Examples:
      mrjobreport last
      mrjobreport 8bd3c96e -o report.html
      mrjobreport 8bd3c96e -o stream.png
      mrjobreport --svg last > stream.svg
      mrjobreport --json last | jq '.phases[].run'
    """
    if svg and as_json:
        raise click.UsageError("--svg and --json exclude each other", click.get_current_context())
    suffix = output.suffix.lower() if output is not None else ""
    form = "json" if as_json else "svg" if svg or suffix == ".svg" else "png" if suffix == ".png" else "html"
    draw = rasterizer() if form == "png" else None  # before the records are read
    found = recorded(state_dir, objects, job)
    if form == "json":
        made = (text.compact(numbers(found, price)) + "\n").encode()
    elif form == "html":
        from cli.mrjobreport.page import page

        made = page(found, numbers(found, price)).encode()
    else:
        from cli.mrjobreport.stream import stream

        picture = stream(found.timeline, found.created, alone=True)
        made = draw(picture) if draw else picture.encode()
    target = output or (Path("-") if svg or as_json else Path(f"report-{found.uuid[:8]}.html"))
    if str(target) == "-":
        sys.stdout.buffer.write(made)
        return
    write(target, made)
    note(f"wrote {target}: {text.human_size(len(made))} bytes")


def rasterizer() -> Callable[[str], bytes]:
    """What draws an SVG as a PNG, twice as large. Raises `Problem` if it is not installed."""
    try:
        import resvg_py
    except ImportError:
        raise Problem("a PNG takes the Python package resvg-py (try pip install 'remora[report]'), "
                      "or -o FILE.svg") from None  # fmt: skip
    return lambda svg: bytes(resvg_py.svg_to_bytes(svg_string=svg, background="white", zoom=2))


def numbers(found: JobRecord, price: float | None) -> dict[str, Any]:
    """What the report says, as JSON. `cost` has the rows of `mjob cost`."""
    from scheduler.service.operators.performance import report

    cost = [priced(phase, price) for phase in found.phases]
    return {
        "job": found.uuid,
        "owner": found.owner,
        "name": found.status["name"],
        "state": found.status["state"],
        "cancelled": found.status["cancelled"],
        "created": found.status["timeCreated"],
        "done": found.status.get("timeDone"),
        "stats": found.status["stats"],
        "cost": cost,
        "total": summed(cost),
        **report(found.timeline, found.phases, found.created),
    }


def write(path: Path, made: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(made)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


with_store(command)
