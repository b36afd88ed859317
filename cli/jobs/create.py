"""mjob create: a new job, its inputs from stdin, and, if wanted, its outputs on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.completion import one_of, remote_path
from cli.frame import Command, note
from cli.jobs.common import jobs
from cli.jobs.documents.specification import (
    document,
    encoded,
    from_expression,
    from_options,
    keyed,
    left_over,
    without_reducers,
)
from cli.jobs.follow.run_job import Flow, add_all, flow_options, run, taken
from cli.output import null_option
from cli.when import Duration
from scheduler.model.tiers import DISK_GB, MAX_TIMEOUT_S, MAX_TRIES_AGAIN, MEMORY_MB

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

Function = TypeVar("Function", bound=Callable[..., Any])
ORDER = "phase words"
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128)  # as examples
PHASE_WORDS = ("map", "reduce", "asset", "init", "memory", "disk", "image", "count", "timeout", "retries")


class Create(Command):
    """A command that also remembers the order of its phase options: each describes the phase after it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[ORDER] = [parameter.name for parameter in order if parameter.name in PHASE_WORDS]
        return super().parse_args(ctx, args)


def phase_option(*names: str, **more: Any) -> Callable[[Function], Function]:
    return click.option(*names, multiple=True, **more)


def phase_options(function: Function) -> Function:
    """The options that describe phases; `in_order` has them as they stood on the command line."""
    for option in reversed((
        phase_option("-m", "--map", "map", metavar="CMD", help="A map phase: CMD runs once for each input."),
        phase_option("-r", "--reduce", "reduce", metavar="CMD",
                     help="A reduce phase: CMD reads all its inputs as one."),
        phase_option("-s", "--asset", "asset", metavar="PATH", shell_complete=remote_path,
                     help="Object to be had at /assets/PATH. Repeatable."),
        phase_option("--init", "init", metavar="CMD", help="Runs once in each instance, before its tasks."),
        phase_option("--memory", "memory", metavar="MB", type=int, shell_complete=one_of(MEMORY_MB),
                     help="Memory of an instance: 128, 256, ... 8192."),
        phase_option("--disk", "disk", metavar="GB", type=int, shell_complete=one_of(DISK_GB),
                     help="Disk of an instance: 2, 4, ... 1024."),
        phase_option("--image", "image", metavar="SEMVER", help="Version of the image."),
        phase_option("--count", "count", metavar="N", type=int, shell_complete=one_of(COUNTS),
                     help="Reducers of a reduce phase. [default: 1]"),
        phase_option("--timeout", "timeout", metavar="TIME", type=Duration(MAX_TIMEOUT_S),
                     help="A task that runs longer fails: 90, 90s, 15m, 2h."),
        phase_option("--retries", "retries", metavar="N", type=click.IntRange(0, MAX_TRIES_AGAIN),
                     help="Try a task that fails so many times more. [default: 0]"),
    )):  # fmt: skip
        function = option(function)
    return function


@click.command("create", cls=Create)
@phase_options
@click.option("--by", "by", metavar="KEYDEF", multiple=True,
              help="Reducers read lines grouped by this key, as of sort: 1,1. Repeatable.")  # fmt: skip
@click.option("--combine", "combiner", metavar="CMD", help="With --by: reduces what one map task prints.")
@click.option("-f", "--file", "file", metavar="FILE", type=click.Path(),
              help="The job as JSON, used as it is but for -n, or as YAML if FILE ends in .yaml or .yml.")  # fmt: skip
@click.option("-n", "--name", default="", metavar="NAME", help="Name of the job.")
@click.option("--put", "put", metavar="FILE", multiple=True, type=click.Path(),
              help="Store a file, or all files of a directory, and take them as inputs. Repeatable.")  # fmt: skip
@click.option("--to", "to", metavar="PATH", shell_complete=remote_path,
              help="Directory for --put; made if need be.  [default: ~~/stor]")  # fmt: skip
@flow_options
@click.option("--open", "keep_open", is_flag=True, help="Leave the input open: see mjob addinputs, mjob close.")
@click.option("--close", "close", is_flag=True, help="End the input at once if stdin is a terminal.")
@null_option("Names on stdin end in NUL, as mfind -0 prints them.", "--null")
@click.option("--dry-run", is_flag=True, help="Check the job, print its JSON and what would run; create nothing.")
@click.argument("expression", metavar="[map [^ map] [^^ reduce]]", nargs=-1)
def command(
    expression: Sequence[str],
    file: str | None,
    name: str,
    by: Sequence[str],
    combiner: str | None,
    put: Sequence[str],
    to: str | None,
    keep_open: bool,
    close: bool,
    null: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Create a job. Objects named on stdin, one a line, or local files (--put) become its inputs; its id is printed.

    A map phase runs its command once for each input, with the object as stdin (and as the file $MANTA_INPUT_FILE).
    What it prints is an input of the next phase. A reduce phase runs its command once, or --count times, on all its
    inputs concatenated. What the last phase prints are the job's outputs.

    A task that runs longer than --timeout ends, and has failed (TaskTimeoutError). With --retries a task that fails,
    by its exit status, a signal, a cap or the timeout, runs again, and is an error only when it has failed once more
    than that; what the earlier attempts printed is not kept.

    With --by the reduce phase is keyed: all lines that the map phase prints with one key go to one of its tasks, sorted
    by that key, so that it sees them one after another (uniq -c). The job is an operation then, as those of
    mjob mapreduce are, with the rules of this command: each object is a task, and the others go on if one fails.

    Phases are given by options or as an expression. --count, --memory and the like describe the next -m or -r; in an
    expression they describe all phases. In an expression ^ begins a map phase and ^^ a reduce phase; more carets are
    more reducers (^^^^ is two). A word of carets counts only when it stands alone. Quote commands that have options.

    \b
    Examples:
      mjob create -o --put logs -m 'grep -c ERROR || true'      files of this machine, stored below ~~/stor/logs
      echo ~~/stor/lear.txt | mjob create -o wc
      mfind -t o ~~/stor | mjob create -o -m 'grep -c king || true' -r "awk '{n += \\$1} END {print n}'"
      mfind -t o ~~/stor | mjob create -o 'grep king || true' ^^ sort
      mfind -t o ~~/stor | mjob create -o --timeout 5m --retries 2 -m 'sort | uniq -c'
      mfind -t o ~~/stor | mjob create -o -m "tr -cs A-Za-z '\\n'" --by 1 --count 4 -r 'uniq -c'
      mjob create --open -m wc                   inputs come later (mjob addinputs)
      mjob create -s ~~/stor/prog -m '/assets/$MANTA_USER/stor/prog' --count 4 -r sort < names
      mjob create --dry-run -m wc -r cat         check it, and show what would run
      mfind -t o ~~/stor/logs | mjob create -f nightly.yaml

    A task fails if its command ends with a code other than 0, as grep and diff do when they find nothing: hence
    `|| true`. An input is an object: -t o leaves directories out.

    \b
    Standard input:
      not a terminal   each line is an input (~~ is expanded), then the input is ended, unless --open; a name that has
                       a line break itself is left out, and the exit status is 1
      a terminal       no inputs are read; the input is left open, unless --close
      with --put       not read

    --put stores as mput -r does: a directory d as ~~/stor/d/..., what is there already is not sent again, and it stays
    there after the job. If a file cannot be stored there is no job; the same command goes on with the rest.

    -o and -w outlive a restart of the service: they ask again for a minute. If the job had errors the first is shown
    when it happens, with the end of its stderr; -o prints the outputs that there are, then the errors by kind.

    Exit status: 0; 1 if the job could not be created or, with -o or -w, had errors or was cancelled. 130 (143) if you
    stop watching with Ctrl-C (SIGTERM); the job goes on.
    """
    if keep_open and close:
        raise click.UsageError("--open and --close exclude each other", click.get_current_context())
    if put and dry_run:
        raise click.UsageError("--dry-run stores nothing: leave --put out", click.get_current_context())
    if to and not put:
        raise click.UsageError("--to says where --put stores: say what to store", click.get_current_context())
    flow = taken(options)
    words = in_order(options)
    with jobs() as mine:
        if combiner and not by:
            raise click.UsageError("--combine is for --by, which gives reducers lines by their keys")
        body = body_of(mine, expression, file, name, words, by, combiner)
        if dry_run and by:
            from cli.jobs import operations
            from cli.jobs.documents import operation_plan

            operation_plan.show(mine, json.loads(body), operations.typed_names(mine), quiet=flow.quiet)
            return
        if dry_run:
            from cli.jobs.documents import plan

            plan.show(body, quiet=flow.quiet, null=null)
            return
        if put:
            from cli.jobs.documents import local_inputs

            stored = local_inputs.store(mine.session, put, to or local_inputs.DEFAULT_GOAL, flow)
            run(mine, body, flow, lambda job: feed_stored(mine, job, flow, stored, keep_open=keep_open))
            return
        run(mine, body, flow, lambda job: feed(mine, job, flow, keep_open=keep_open, close=close, null=null))


def in_order(values: dict[str, Sequence[Any]]) -> list[tuple[str, Any]]:
    """(name, value) of the phase options as they stood on the command line."""
    each = {name: iter(values[name]) for name in PHASE_WORDS}
    return [(name, next(each[name])) for name in click.get_current_context().meta[ORDER]]


def body_of(
    mine: Jobs,
    expression: Sequence[str],
    file: str | None,
    name: str,
    words: list[tuple[str, Any]],
    by: Sequence[str] = (),
    combiner: str | None = None,
) -> bytes:
    """The JSON text of the job, from a file, options or an expression. Raises usage errors."""
    context = click.get_current_context()
    home = mine.session.settings.home
    if file:
        from cli.jobs.documents import manifest

        if words or expression or by:
            named = [f"--{word}" for word, _ in words] + ["--by"] * bool(by)
            given = ", ".join(dict.fromkeys(named)) or "an expression"
            raise click.UsageError(f"-f FILE has its own phases, and {given} would not count: change the file", context)
        return manifest.renamed(file, manifest.read(file), name)
    by_options = any(word in ("map", "reduce") for word, _ in words)
    if by_options and expression:
        raise click.UsageError(
            'cannot use -m/-r along with a job expression\n(did you forget a "-m" or "-r"?)', context
        )
    if by_options and (lost := left_over(words)):
        options = ", ".join(f"--{name}" for name in lost)
        note(f"mjob: warning: {options} after the last phase describes none (put it before its -m or -r)")
    phases = from_options(words, home) if by_options else from_expression(expression, words, home)
    if not phases:
        raise click.UsageError("At least one map or reduce task must be specified", context)
    if without_reducers(words, phases):
        note("mjob: warning: --count counts the reducers of a reduce phase (put it before its -r)")
    return encoded(keyed(name, phases, by, combiner) if by else document(name, phases))


def feed(mine: Jobs, job: str, flow: Flow, *, keep_open: bool, close: bool, null: bool) -> None:
    """Inputs from stdin, and the end of input, as stdin and options say."""
    if sys.stdin is not None and sys.stdin.isatty():
        if close:
            mine.end_input(job)
        elif not keep_open:
            note("mjob: warning: input stream left open")
        return
    if sys.stdin is not None:
        from cli.jobs.documents.input_names import typed

        named = typed(sys.stdin.fileno(), flow.batch, mine.session.settings.home, null=null)
        if not add_all(mine, job, named, flow) and not keep_open:
            note("mjob create: the job has no inputs: stdin named no objects")
    if close or not keep_open:
        mine.end_input(job)


def feed_stored(mine: Jobs, job: str, flow: Flow, stored: Sequence[str], *, keep_open: bool) -> None:
    """Inputs that were stored for the job, and the end of input."""
    from cli.jobs.documents import local_inputs

    add_all(mine, job, local_inputs.batches(stored, flow.batch), flow)
    if not keep_open:
        mine.end_input(job)
