"""What mjob map, merge and erase have in common: an operation is created, fed, waited for, and shown.

These commands wait for their end, as `sort -o` does, and show one line meanwhile. Without -o what was made goes to
stdout, part after part. Ctrl-C stops the waiting only; the operation goes on, and the last lines say how to come back.

Inputs are operands, or, if there are none, names on stdin. An operand that ends in a slash is a directory: all objects
in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client import paths
from cli.client.transport.patience import Patience
from cli.completion import one_of, remote_path
from cli.frame import note
from cli.jobs.documents.specification import asset, encoded
from cli.jobs.follow.interruption import ADDING, PRINTING, telling_of
from cli.text import compact
from cli.when import Duration
from scheduler.model.operations.document import UNAVAILABLE
from scheduler.model.operations.stage import MAX_TASKS
from scheduler.model.tiers import DISK_GB, MAX_TIMEOUT_S, MEMORY_MB

if TYPE_CHECKING:
    from cli.client.jobs import Jobs

Function = TypeVar("Function", bound=Callable[..., Any])
# Characters of operands up to which they go into the document of the operation; more are added as stdin's names are.
FEW = 32_000
BATCH, PARALLEL = 1000, 25
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


Finish = Callable[["Jobs", str, "Run"], None]


class Size(click.ParamType[int]):
    """A number of bytes on the command line: `500`, `64K`, `256M`, `1G`."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        digits, unit = (value[:-1], value[-1:].upper()) if value[-1:].upper() in UNITS else (value, "")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 12 or int(digits) == 0:
            self.fail(f'"{value}" is no size (500, 64K, 256M, 1G)', param, ctx)
        return int(digits) * UNITS.get(unit, 1)


@dataclass(frozen=True, slots=True)
class Run:
    """What the options that all operations have said. `keys` are those of the document."""

    dry_run: bool
    detach: bool
    as_json: bool
    quiet: bool
    prints: bool  # stdout is for what the operation makes
    keys: dict[str, Any] = field(default_factory=dict)


def run_options(function: Function) -> Function:
    """The options of a `Run`; `taken` makes one of what the function gets."""
    for option in reversed((
        click.option("-n", "--name", default="", metavar="NAME", help="Name of the job."),
        click.option("--max-failed", type=click.IntRange(1, 10_000), metavar="N",
                     help="Fail when N attempts have failed. [default: 10]"),
        click.option("--keep-going", is_flag=True, help="A task that fails has failed; the others go on."),
        click.option("--time-limit", metavar="TIME", type=Duration(MAX_TIMEOUT_S),
                     help="Fail if it takes longer: 90s, 15m, 2h."),
        click.option("--at-once", type=click.IntRange(1, MAX_TASKS), metavar="N",
                     help="At most N tasks run at once. [default: any number]"),
        click.option("--missing", type=click.Choice(("wait", "fail")), metavar="WHAT",
                     help="If bytes of an input are missing in the store: wait, or fail. [default: wait]"),
        click.option("--title", metavar="TEXT", help="What the operation is for, in its status."),
        click.option("--annotation", "annotations", metavar="KEY=VALUE", multiple=True,
                     help="A value of your own, in its status. Repeatable."),
        click.option("--alias", metavar="*NAME",
                     help="A name beginning with * that no other operation has which is not over."),
        click.option("--detach", is_flag=True, help="Print the id of the job and do not wait."),
        click.option("--dry-run", is_flag=True, help="Check it and print what would run; create nothing."),
        click.option("--json", "as_json", is_flag=True, help="Print the last status as one line of JSON."),
        click.option("-q", "--quiet", is_flag=True, help="No progress line."),
    )):  # fmt: skip
        function = option(function)
    return function


def output_options(function: Function) -> Function:
    """Where an operation leaves what it makes; `taken` has it in the document."""
    for option in reversed((
        click.option("-o", "--output", "output", metavar="PATH", shell_complete=remote_path,
                     help="An object, or a set of parts if PATH ends in a slash. [default: stdout]"),
        click.option("--replace", is_flag=True, help="Replace the parts of a set that is there."),
        click.option("--append", is_flag=True, help="Add parts to a set that is there."),
    )):  # fmt: skip
        function = option(function)
    return function


def script_options(function: Function) -> Function:
    """How a command of the user's runs; `script_of` makes a part of the document of it."""
    for option in reversed((
        click.option("-s", "--asset", "assets", metavar="PATH", multiple=True, shell_complete=remote_path,
                     help="Object to be had at /assets/PATH. Repeatable."),
        click.option("--init", metavar="CMD", help="Runs once in each instance, before its tasks."),
        click.option("--memory", metavar="MB", type=int, shell_complete=one_of(MEMORY_MB),
                     help="Memory of an instance: 128, 256, ... 8192."),
        click.option("--disk", metavar="GB", type=int, shell_complete=one_of(DISK_GB),
                     help="Disk of an instance: 2, 4, ... 1024."),
        click.option("--image", metavar="SEMVER", help="Version of the image."),
        click.option("--timeout", metavar="TIME", type=Duration(MAX_TIMEOUT_S),
                     help="An attempt that runs longer fails: 90, 90s, 15m, 2h."),
    )):  # fmt: skip
        function = option(function)
    return function


def taken(options: dict[str, Any], home: str, prints: bool = True) -> Run:
    """Take a run's options out of all the options. Raises a usage error."""
    keys: dict[str, Any] = {"name": name} if (name := options.pop("name")) else {}
    if (most := options.pop("max_failed")) is not None:
        keys["max_failed_attempts"] = most
    if options.pop("keep_going"):
        keys["on_error"] = "continue"
    if (limit := options.pop("time_limit")) is not None:
        keys["time_limit"] = limit
    if (most := options.pop("at_once")) is not None:
        keys["resource_limits"] = {"tasks": most}
    if missing := options.pop("missing"):
        keys["unavailable"] = dict.fromkeys(UNAVAILABLE, missing)
    for name in ("title", "alias"):
        if value := options.pop(name):
            keys[name] = value
    if annotations := options.pop("annotations"):
        keys["annotations"] = annotations_of(annotations)
    output, replace, append = (options.pop(name, None) for name in ("output", "replace", "append"))
    if replace and append:
        raise click.UsageError("--replace and --append exclude each other", click.get_current_context())
    if output:
        mode = "replace" if replace else "append" if append else None
        keys["output"] = {"path": named(output, home), **({"mode": mode} if mode else {})}
    elif replace or append:
        raise click.UsageError("--replace and --append say what -o does: say -o", click.get_current_context())
    detach, as_json = options.pop("detach"), options.pop("as_json")
    return Run(
        dry_run=options.pop("dry_run"),
        detach=detach,
        as_json=as_json,
        quiet=options.pop("quiet"),
        prints=prints and not (output or detach or as_json),
        keys=keys,
    )


def annotations_of(words: Sequence[str]) -> dict[str, str]:
    """The annotations in words `KEY=VALUE`. Raises a usage error."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise click.UsageError(f'"{word}" is no annotation (KEY=VALUE)', click.get_current_context())
        found[key] = value
    return found


def script_of(command: str, options: dict[str, Any], home: str) -> dict[str, Any]:
    """The script of a document: a command, and what its options say of its instances."""
    script: dict[str, Any] = {"exec": command}
    if assets := options.pop("assets"):
        script["assets"] = [asset(each, home) for each in assets]
    for name in ("init", "memory", "disk", "image", "timeout"):
        if (value := options.pop(name)) is not None:
            script[name] = value
    return script


def named(text: str, home: str) -> str:
    """The full path of an operand; a slash at its end stays. Raises `Problem`."""
    full = text if paths.is_full(text) else f"~~/stor/{text}"
    path = paths.valid(full, home)
    return f"{path}/" if text.endswith("/") else path


def perform(
    mine: Jobs, kind: str, spec: dict[str, Any], inputs: Sequence[str], run: Run, finish: Finish | None = None
) -> None:
    """Create an operation, give it its inputs, wait for it and show what it made. Raises `Problem` if it failed.

    `finish`: what is done once it has its inputs, if it is not to show what it made.
    """
    operands = [named(text, mine.session.settings.home) for text in inputs]
    document = {"type": kind, **run.keys, **({"spec": spec} if spec else {})}
    few = sum(map(len, operands)) <= FEW
    if operands and few:
        document["inputs"] = operands
    if not operands and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("no inputs: name some, or pipe names in", click.get_current_context())
    if run.dry_run:
        from cli.jobs.documents import operation_plan

        operation_plan.show(mine, document, operands or typed_names(mine), quiet=run.quiet)
        return
    job = mine.create(encoded(document))
    if run.detach:
        print(job, flush=True)
    mine.session.patience = Patience(note)
    if not (operands and few):
        with telling_of(job, ADDING):
            feed(mine, job, operands)
    if not run.detach:
        (finish or show)(mine, job, run)


def typed_names(mine: Jobs) -> list[str]:
    """The names on stdin, all of them: a dry run asks for the size of each."""
    from cli.jobs.documents.input_names import batches

    return [
        named(line.decode("utf-8", "replace"), mine.session.settings.home)
        for batch in batches(sys.stdin.fileno(), BATCH)
        for line in batch
    ]


def feed(mine: Jobs, job: str, operands: Sequence[str]) -> None:
    """Add inputs, from operands or from stdin, and end the input."""
    from cli.jobs.documents.input_names import batches, pour

    home = mine.session.settings.home
    given = in_batches(operands) if operands else batches(sys.stdin.fileno(), BATCH)
    full = ([named(line.decode("utf-8", "surrogateescape"), home).encode("utf-8", "surrogateescape") for line in batch]
            for batch in given)  # fmt: skip
    pour(mine, [job], full, parallel=PARALLEL, quiet=True)
    mine.end_input(job)


def in_batches(names: Sequence[str]) -> Iterator[list[bytes]]:
    for first in range(0, len(names), BATCH):
        yield [name.encode("utf-8", "surrogateescape") for name in names[first : first + BATCH]]


def wait(mine: Jobs, job: str, run: Run) -> None:
    """Wait for the operation. Raises `Problem` if it failed."""
    from cli.jobs.follow import outcome
    from cli.jobs.follow.wait import Watcher

    status = Watcher(mine, job, show=False if run.quiet else None).run()
    if run.as_json:
        print(compact(status), flush=True)
    outcome.check(mine, job, status)


def show(mine: Jobs, job: str, run: Run) -> None:
    """Wait for the operation, and print what it made or how it ended."""
    from cli.jobs.follow.output_printing import Printing, print_outputs

    wait(mine, job, run)
    if run.prints:
        with telling_of(job, PRINTING):
            print_outputs(mine, job, Printing())
            sys.stdout.flush()
