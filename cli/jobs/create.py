"""mjob create: a new job, its inputs from stdin, and, if wanted, its outputs on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client.problem import Problem
from cli.frame import INTERRUPTED, Command, note
from cli.jobs.common import jobs
from cli.jobs.specification import document, encoded, from_expression, from_options, left_over

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

Function = TypeVar("Function", bound=Callable[..., Any])
ORDER = "phase words"
PHASE_WORDS = ("map", "reduce", "asset", "init", "memory", "disk", "image", "count")


class Create(Command):
    """A command that also remembers the order of its phase options: each describes the phase after it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[ORDER] = [parameter.name for parameter in order if parameter.name in PHASE_WORDS]
        return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True)
class Flow:
    """What happens after the job has been created."""

    batch: int
    parallel: int
    cat_outputs: bool
    watch: bool
    keep_open: bool
    close: bool
    quiet: bool


def phase_option(*names: str, **more: Any) -> Callable[[Function], Function]:
    return click.option(*names, multiple=True, **more)


@click.command("create", cls=Create)
@phase_option("-m", "--map", "map", metavar="CMD", help="A map phase: CMD runs once for each input.")
@phase_option("-r", "--reduce", "reduce", metavar="CMD", help="A reduce phase: CMD reads all its inputs as one.")
@phase_option("-s", "--asset", "asset", metavar="PATH", help="Object to be had at /assets/PATH. Repeatable.")
@phase_option("--init", "init", metavar="CMD", help="Runs once in each instance, before its tasks.")
@phase_option("--memory", "memory", metavar="MB", type=int, help="Memory of an instance: 128, 256, ... 8192.")
@phase_option("--disk", "disk", metavar="GB", type=int, help="Disk of an instance: 2, 4, ... 1024.")
@phase_option("--image", "image", metavar="SEMVER", help="Version of the image.")
@phase_option("--count", "count", metavar="N", type=int, help="Reducers of a reduce phase. [default: 1]")
@click.option("-f", "--file", "file", metavar="FILE", type=click.Path(), help="The job's JSON, used as it is.")
@click.option("-n", "--name", default="", metavar="NAME", help="Name of the job.")
@click.option("-b", "--batch", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N",
              help="Inputs per request.")  # fmt: skip
@click.option("-p", "--parallel", type=click.IntRange(min=1), default=25, show_default=True, metavar="N",
              help="Requests at once.")  # fmt: skip
@click.option("-o", "--cat-outputs", is_flag=True, help="Wait, then print all outputs.")
@click.option("-w", "--watch", is_flag=True, help="Wait until the job is done.")
@click.option("--open", "keep_open", is_flag=True, help="Leave the input open: see mjob addinputs, mjob close.")
@click.option("--close", "close", is_flag=True, help="End the input at once if stdin is a terminal.")
@click.option("-q", "--quiet", is_flag=True, help='No "added ..." lines.')
@click.option("--dry-run", is_flag=True, help="Print the job's JSON; create nothing.")
@click.argument("expression", metavar="[map [^ map] [^^ reduce]]", nargs=-1)
def command(
    expression: Sequence[str], file: str | None, name: str, dry_run: bool, keep_open: bool, **options: Any
) -> None:
    """Create a job. Objects named on stdin, one a line, become its inputs; the job's id is printed.

    A map phase runs its command once for each input, with the object as stdin (and as the file $MANTA_INPUT_FILE).
    What it prints is an input of the next phase. A reduce phase runs its command once, or --count times, on all its
    inputs concatenated. What the last phase prints are the job's outputs.

    Phases are given by options or as an expression. --count, --memory and the like describe the next -m or -r; in an
    expression they describe all phases. In an expression ^ begins a map phase and ^^ a reduce phase; more carets are
    more reducers (^^^^ is two). A word of carets counts only when it stands alone. Quote commands that have options.

    \b
    Examples:
      echo ~~/stor/lear.txt | mjob create -o wc
      mfind ~~/stor | mjob create -o -m "grep -c king" -r "paste -sd+ | bc"
      mfind ~~/stor | mjob create -o 'grep -h king' ^^ sort
      mjob create --open -m wc                   inputs come later (mjob addinputs)
      mjob create -s ~~/stor/prog -m /assets/$MANTA_USER/stor/prog --count 4 -r sort < names
      mjob create --dry-run -m wc -r cat         show the JSON

    \b
    Standard input:
      not a terminal   each line is an input (~~ is expanded), then the input is ended, unless --open
      a terminal       no inputs are read; the input is left open, unless --close

    Exit status: 0; 1 if the job could not be created or, with -o or -w, had errors: then the first error is shown
    with the end of its stderr, and with -o no output is printed. 130 if you stop watching; the job goes on.
    """
    flow = Flow(keep_open=keep_open, **{key: options.pop(key) for key in FLOW_OPTIONS})
    words = in_order(options)
    with jobs() as mine:
        body = body_of(mine, expression, file, name, words)
        if dry_run:
            print(json.dumps(json.loads(body), indent=4, ensure_ascii=False))
            return
        job = mine.create(body)
        if not flow.cat_outputs:
            print(job, flush=True)
        with telling_of(job):
            feed(mine, job, flow)
        if flow.cat_outputs or flow.watch:
            see_through(mine, job, show_outputs=flow.cat_outputs)


FLOW_OPTIONS = ("batch", "parallel", "cat_outputs", "watch", "close", "quiet")


def in_order(values: dict[str, Sequence[Any]]) -> list[tuple[str, Any]]:
    """(name, value) of the phase options as they stood on the command line."""
    each = {name: iter(values[name]) for name in PHASE_WORDS}
    return [(name, next(each[name])) for name in click.get_current_context().meta[ORDER]]


def body_of(mine: Jobs, expression: Sequence[str], file: str | None, name: str, words: list[tuple[str, Any]]) -> bytes:
    """The JSON text of the job, from a file, options or an expression. Raises usage errors."""
    context = click.get_current_context()
    home = mine.session.settings.home
    if file:
        return read_manifest(file)
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
    return encoded(document(name, phases))


def read_manifest(file: str) -> bytes:
    with open(file, "rb") as manifest:
        text = manifest.read()
    try:
        json.loads(text)
    except ValueError as error:
        raise Problem(f"{file} is not JSON: {error}") from None
    return text


def feed(mine: Jobs, job: str, flow: Flow) -> None:
    """Inputs from stdin, and the end of input, as stdin and options say."""
    if sys.stdin is not None and sys.stdin.isatty():
        if flow.close:
            mine.end_input(job)
        elif not flow.keep_open:
            note("mjob: warning: input stream left open")
        return
    if sys.stdin is not None:
        from cli.jobs.inputs_from import pour

        pour(mine, [job], sys.stdin.fileno(), size=flow.batch, parallel=flow.parallel, quiet=flow.quiet)
    if flow.close or not flow.keep_open:
        mine.end_input(job)


@contextmanager
def telling_of(job: str) -> Iterator[None]:
    """A job whose inputs could not all be added is still there: say so."""
    try:
        yield
    except Problem as problem:
        raise Problem(f"{problem.message}\njob {job} is left with its input open: mjob cancel {job}") from None
    except KeyboardInterrupt:
        note(f"\njob {job} is left with its input open: mjob cancel {job}")
        sys.exit(INTERRUPTED)


def see_through(mine: Jobs, job: str, *, show_outputs: bool) -> None:
    """Wait for the job; print its outputs if wanted. Raises `Problem` if it had errors."""
    from cli.jobs.outputs import cat
    from cli.jobs.watching import Watcher, error_message, tell_first_error

    watcher = Watcher(mine, job)
    status = watcher.run()
    if status["stats"].get("errors"):
        if not watcher.told:
            tell_first_error(mine, job)
        raise Problem(error_message(job, status))
    if show_outputs:
        cat(mine, job)
