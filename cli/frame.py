"""What every command has in common: options, the shape of its messages, exit codes.

A command is a `Command`. It gets the common options (`--url`, `--account`, …) added to its
own, and its body asks `session()` for a client that is made from them, so that nothing is
read or connected before the command knows what it wants.

Three endings:

- a `Problem` is printed as `mls: ResourceNotFoundError: /jill/stor/x was not found`, or as
  `mjob get: error: …` where a program has sub-commands; exit code 1;
- a usage error is the last line, below the usage, and where a program has sub-commands
  `mjob get: error: ` is before it; exit code 1;
- a reader of stdout that has gone away is no error; exit code 0. Ctrl-C is 130.

An unforeseen exception is one line as well, with its place in the source: a traceback helps no user.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from cli import output
from cli.client import paths
from cli.client.problem import Problem
from cli.client.settings import Options, Settings, load, words
from cli.text import printable
from cli.version import SUMMARY, VERSION

if TYPE_CHECKING:
    from cli.client.session import Session

FAILED = 1
EXIT_STATUS = "\n\nExit status: 0, or 1 if something went wrong."  # of commands that say no more about it
EXIT_CODES = "Wrong usage is 1, too. A reader who has seen enough of stdout is no error. After Ctrl-C it is 130."
FRAMING = ("content-length", "transfer-encoding", "connection", "host")
INTERRUPTED = 130  # as of a shell's command that SIGINT ended


def note(message: str) -> None:
    """A line on stderr, if that can be written."""
    with suppress(OSError):
        print(printable(message), file=sys.stderr, flush=True)


def common_options() -> list[click.Parameter]:
    """The options that all commands share; their values end up in `Options`, not in the command's arguments."""

    def option(*names: str, **more: Any) -> click.Option:
        return click.Option(list(names), expose_value=False, callback=remember, **more)

    return [
        option("--account", "-a", "account", metavar="LOGIN", help="Account (MANTA_USER)."),
        option("--user", "--subuser", "subuser", metavar="LOGIN", help="Sub-user (MANTA_SUBUSER)."),
        option("--role", "roles", metavar="ROLE,...", multiple=True, help="Roles to take on (MANTA_ROLE)."),
        option("--insecure", "-i", "insecure", is_flag=True, help="Trust any certificate (MANTA_TLS_INSECURE)."),
        option("--keyId", "-k", "key_id", metavar="FP", help="Fingerprint of the key to sign with (MANTA_KEY_ID)."),
        option("--url", "-u", "url", metavar="URL", help="Address of the service (MANTA_URL)."),
        option("--verbose", "-v", "verbose", is_flag=True, help="Trace requests on stderr, as JSON lines."),
    ]


def remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    context.meta.setdefault("common", {})[parameter.name] = value


class Shaped(click.Command):
    """Help, version and completion as all commands have them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = kwargs.setdefault("context_settings", {})
        settings.setdefault("help_option_names", ["-h", "--help"])
        settings.setdefault("max_content_width", 100)
        super().__init__(*args, **kwargs)
        self.params += [version_option(), completion_option()]
        self._help = help_option(settings["help_option_names"])
        if self.help and "Exit status: " not in self.help and not isinstance(self, click.Group):
            self.help = inspect.cleandoc(self.help) + EXIT_STATUS

    def get_help_option(self, ctx: click.Context) -> click.Option:
        """`--help`, as click has it, but without a search for its translation at each start."""
        return self._help

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """`usage: mls [OPTIONS] path...`, as the documentation of Manta writes it."""
        formatter.write_usage(ctx.command_path, " ".join(self.collect_usage_pieces(ctx)), prefix="usage: ")


class Plain(Shaped):
    """A command that needs no service. Problems end it, with messages as described above."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with telling_left_out(ctx):
                return super().invoke(ctx)
        except Problem as problem:
            fail(ctx, problem)
        except UnicodeEncodeError as error:  # the bytes of an operand
            fail(ctx, Problem(f"{error.object!r} is not UTF-8: the service cannot name it"))
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                ctx.exit(0)
            where = f"{error.filename}: " if error.filename else ""
            fail(ctx, Problem(f"{where}{error.strerror or error}"))


class Command(Plain):
    """A command that talks to the service."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options()


class Lazy(Shaped, click.Group):
    """A program of sub-commands, each in a module of its own that is imported when it is called.

    `commands_in` names the package, `modules` the module of each sub-command, whose `command` it is and whose
    docstring, `program name: summary.`, describes it in the list. `hidden` ones are left out of that list.
    """

    def __init__(self, *args: Any, commands_in: str, modules: dict[str, str], hidden: Sequence[str] = (), **kw: Any):
        kw.update(no_args_is_help=False, invoke_without_command=True)
        super().__init__(*args, **kw)
        self._package = commands_in
        self._modules = modules
        self._hidden = frozenset(hidden)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in self._modules if name not in self._hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._modules:
            return None
        module = import_module(f"{self._package}.{self._modules[cmd_name]}")
        command: click.Command = module.command
        command.short_help = (module.__doc__ or "").splitlines()[0].partition(": ")[2].rstrip(".")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] == "help":
            args = [*args[1:2], "--help"] if args[1:] else ["--help"]
            if args == ["--help"]:
                click.echo(ctx.get_help())
                ctx.exit(0)
        if args and args[0] not in self._modules:
            note(f'{ctx.command_path}: error: unknown command: "{args[0]}"')
            ctx.exit(FAILED)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        if not ctx.args and not ctx._protected_args:
            note(ctx.get_help())
            note(f"{ctx.command_path}: error: no command given")
            ctx.exit(FAILED)
        return super().invoke(ctx)


@contextmanager
def telling_left_out(context: click.Context) -> Iterator[None]:
    """Names that had no place in the output, or in the input, are an error at the end."""
    try:
        yield
    finally:
        if sentence := output.left_out(context):
            note(f"{context.command_path}: {sentence}")
    if sentence:
        context.exit(FAILED)


def fail(context: click.Context, problem: Problem) -> NoReturn:
    """Print a problem the way its program does, and end with exit code 1."""
    if problem.name == "UsageError":
        raise click.UsageError(problem.message, context)
    say(context, problem)
    context.exit(FAILED)


def say(context: click.Context, problem: Problem) -> None:
    """A problem on stderr, and what may have been meant instead."""
    if context.parent is not None:
        note(f"{context.command_path}: error: {problem.message}")
    else:
        note(f"{context.command_path}: {problem}")
    say_tilde(context, problem)


def say_tilde(context: click.Context, problem: Problem) -> None:
    """Explain one tilde: the shell has made `~/stor` into `/home/jill/stor`, which names the account `home`."""
    home = os.path.expanduser("~")
    if problem.name not in ("AccountDoesNotExistError", "AuthorizationFailedError") or home in ("~", "/"):
        return
    for text in context.params.get("where") or ():
        if f"{text}/".startswith(f"{home}/"):
            note(f"{context.command_path}: did you mean ~~{text.removeprefix(home)}? The shell makes ~ {home}")


def version_option() -> click.Option:
    def show(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value and not context.resilient_parsing:
            click.echo(f"{context.find_root().info_name} {VERSION}\n{SUMMARY}")
            context.exit(0)

    return click.Option(
        ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=show, help="Print the version."
    )


def help_option(names: list[str]) -> click.Option:
    def show(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value and not context.resilient_parsing:
            click.echo(context.get_help(), color=context.color)
            context.exit(0)

    return click.Option(
        names,
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show this message and exit.",
    )


def completion_option() -> click.Option:
    def show(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value and not context.resilient_parsing:
            from cli.completion.scripts import script

            click.echo(script("bash", [context.find_root().info_name or ""]))
            context.exit(0)

    return click.Option(["--completion"], is_flag=True, is_eager=True, expose_value=False, hidden=True, callback=show)


def settings(context: click.Context | None = None) -> Settings:
    """The settings of the running command; completion, where none runs, gives its context. Raises `Problem`."""
    common = (context or click.get_current_context()).meta.get("common", {})
    roles = tuple(role for text in common.get("roles") or () for role in words(text))
    found = load(Options(**{**common, "roles": roles}))
    return found._replace(patience=False) if context and context.resilient_parsing else found


def connect(settings: Settings) -> Session:
    from cli.client.session import Session

    return Session(settings)


@contextmanager
def session(context: click.Context | None = None) -> Iterator[Session]:
    """A client made from the common options (see `settings`); closed at the end of the block."""
    context = context or click.get_current_context()
    with connect(settings(context)) as client:
        client.reload = lambda: settings(context)
        yield client


def operands(texts: Sequence[str], home: str, *, relative: bool = True) -> list[str]:
    """The paths among a command's operands, in normal form. Raises a usage error if there is none.

    A relative name is one below `~~/stor`. Where an operand may be a file of this machine too (`relative` is false),
    what does not begin with `/` or `~~` is left out, as Manta's tools do.
    """
    if relative:
        texts = [text if paths.is_full(text) or not text else f"~~/stor/{text}" for text in texts]
    for text in texts:
        if not paths.is_full(text):
            note(f'{click.get_current_context().command_path}: "{text}" left out: a path begins with / or ~~/')
    full = [paths.valid(text, home) for text in texts if paths.is_full(text)]
    if not full:
        raise click.UsageError("path required", click.get_current_context())
    return full


def agreed(question: str) -> bool:
    """Ask on the terminal; anything but a yes is a no."""
    sys.stderr.write(f"{printable(question)} [y/N]?: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def check_interactive(interactive: bool) -> None:
    if interactive and not sys.stdin.isatty():
        raise Problem("stdin must be a tty when interactive specified")


def header_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`-H 'name: value'`, repeatable; the function gets a dict `headers`."""
    decorate = click.option(
        "-H", "--header", "headers", metavar="'NAME: VALUE'", multiple=True, callback=parse_headers,
        help="Header to send, for example 'm-colour: red' or 'content-type: text/plain'. Repeatable.",
    )  # fmt: skip
    return decorate(function)


def parse_headers(context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    headers = {}
    for text in values:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise click.UsageError('header must be in the form of "[header]: value"', context)
        name = name.strip().lower()
        if name in FRAMING:
            raise click.UsageError(f"header {name} is not for you to choose: it says how the body is sent", context)
        headers[name] = value.strip()
    return headers


def role_tag_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--role-tag A,B`; the function gets `role_tags`, see `tagged`."""
    decorate = click.option("--role-tag", "role_tags", metavar="TAG,...", multiple=True, help="Role tags to store.")
    return decorate(function)


def tagged(headers: dict[str, str], role_tags: Sequence[str]) -> dict[str, str]:
    """`headers` with the role tags among them."""
    return {**headers, "role-tag": ",".join(role_tags)} if role_tags else headers


def usage_error(error: click.ClickException) -> None:
    """The usage, then the message: what is read first is the line above the prompt."""
    context = getattr(error, "ctx", None)
    if context is None:
        note(error.format_message())
        return
    program = f"{context.command_path}: error: " if context.parent is not None else ""
    note(f"{context.get_usage()}\noptions: {context.command_path} --help\n{program}{error.format_message()}")


def run_program(program: str, command: click.Command) -> NoReturn:
    """Run a command with the arguments of this process, and exit."""
    output.prepare()
    if f"_{program.upper()}_COMPLETE" in os.environ:
        from cli.completion.scripts import register

        register()
    try:
        code = command.main(prog_name=program, standalone_mode=False)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.Abort:
        code = INTERRUPTED
    except click.ClickException as error:
        usage_error(error)
        code = FAILED
    except OSError as error:  # of what click itself prints; a reader who has left is `finish`'s matter
        code = 0 if isinstance(error, BrokenPipeError) else FAILED
    except Exception as fault:
        note(f"{program}: fault in Remora: {place(fault)}: {type(fault).__name__}: {fault}")
        code = FAILED
    finish(program, code if isinstance(code, int) else 0)


def place(fault: Exception) -> str:
    """Where in the source an exception was raised: `connection.py:66`."""
    at = fault.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    return f"{os.path.basename(at.tb_frame.f_code.co_filename)}:{at.tb_lineno}" if at else "?"


def finish(program: str, code: int) -> NoReturn:
    """Exit, without a complaint about a stdout that has no reader any more.

    A client leaves at once: all is said, and to take the interpreter apart costs a sixth of a short command's time.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        note(f"{program}: stdout: {error.strerror}")
        os._exit(code or FAILED)
    if program == "remora":  # the service has more to put away
        sys.exit(code)
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)
