"""mjob mapreduce: lines that a command prints meet by their keys, sorted, in another command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.frame import Command
from cli.jobs import operations
from cli.jobs.common import jobs
from scheduler.model.operations.stage import MAX_PARTITIONS


@click.command("mapreduce", cls=Command)
@click.option("-m", "--map", "mapper", metavar="CMD", help="Prints the lines. [default: the inputs' own]")
@click.option("-r", "--reduce", "reducer", metavar="CMD", required=True, help="Reads them, sorted by their keys.")
@click.option("--by", "reduce_by", metavar="KEYDEF", multiple=True,
              help="A key by which lines meet, as of sort: 1,1. Repeatable. [default: the whole line]")  # fmt: skip
@click.option("--sort-by", "sort_by", metavar="KEYDEF", multiple=True,
              help="Keys by which each reducer's lines are sorted; they begin with those of --by.")  # fmt: skip
@click.option("-t", "--field-separator", "separator", metavar="SEP", help="The byte between fields.")
@click.option("--combine", "combiner", metavar="CMD", help="Reduces what one map task prints, before it is sent.")
@click.option("--partitions", type=click.IntRange(1, MAX_PARTITIONS), metavar="N",
              help="Reduce in N tasks. [default: one for 400M]")  # fmt: skip
@click.option("--slice", "size", type=operations.Size(), metavar="SIZE",
              help="Cut the input into map tasks of about SIZE bytes. [default: 256M]")  # fmt: skip
@click.option("--per-object", is_flag=True, help="A map task for each object, which it has as a file, too.")
@click.option("--sorted-output", is_flag=True,
              help="The whole is sorted: reduce ranges of keys, and check what is printed.")  # fmt: skip
@operations.output_options
@operations.script_options
@operations.run_options
@click.argument("inputs", metavar="[INPUT]...", nargs=-1)
def command(
    inputs: Sequence[str],
    mapper: str | None,
    reducer: str,
    reduce_by: Sequence[str],
    sort_by: Sequence[str],
    separator: str | None,
    combiner: str | None,
    partitions: int | None,
    size: int | None,
    per_object: bool,
    sorted_output: bool,
    **options: Any,
) -> None:
    """Run a command on slices of the inputs, and another one on the lines that it prints, grouped by key and sorted.

    All lines with one key go to one reduce task, which reads them one after another: a reducer sees a new key when the
    key of its line changes, as uniq does. The keys are those of sort: `1,1` is the first field, `1` all from the first
    field on. Lines with equal keys come in the order of the inputs. The whole is not sorted: each task has some keys.
    With --sorted-output it is: each task has a range of keys, and must print lines sorted by them.

    --combine is a reducer that runs within each map task, on what that has printed, sorted. It must print lines with
    the same keys, which the reducers read in their place: so less is sent.

    Slices, failures and outputs are those of mjob map; --memory and the like are for both commands.

    \b
    Examples:
      mjob mapreduce -m "tr -cs A-Za-z '\\n'" -r 'uniq -c' ~~/stor/texts/
      mjob mapreduce --by 1,1 -t, -r "awk -F, '{n[\\$1] += \\$2} END {for (k in n) print k, n[k]}'" ~~/stor/table.csv
      mjob mapreduce -m 'cut -d" " -f1' --combine 'uniq' -r 'uniq' -o ~~/stor/hosts/ ~~/stor/logs/
      mjob mapreduce --dry-run --partitions 64 -r 'uniq -c' ~~/stor/logs/

    Exit status: 0; 1 if the operation failed or was aborted. 130 if you stop waiting with Ctrl-C; the job goes on.
    """
    if per_object and size:
        raise click.UsageError("--per-object does not cut: leave --slice out", click.get_current_context())
    with jobs() as mine:
        home = mine.session.settings.home
        run = operations.taken(options, home)
        reduce = operations.script_of(reducer, options, home)
        given = {
            "mapper": {**reduce, "exec": mapper} if mapper else None,
            "combiner": {"exec": combiner} if combiner else None,
            "reduce_by": list(reduce_by),
            "sort_by": list(sort_by),
            "separator": separator,
            "partition_count": partitions,
            "task_size": size,
            "per_object": per_object,
            "sorted_output": sorted_output,
        }
        spec = {"reducer": reduce, **{key: value for key, value in given.items() if value}}
        operations.perform(mine, "map_reduce", spec, inputs, run)
