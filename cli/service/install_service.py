"""remora install-service: have systemd run the service."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from pathlib import Path

import click

from cli.client.problem import Problem
from cli.client.settings import home_directory, state_directory
from cli.frame import Plain, note
from cli.service.account_options import with_state_dir

SYSTEM = Path("/etc/systemd/system")
NAME = "remora.service"
UNIT = """\
[Unit]
Description=Remora: compute jobs that ride on stored objects
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
{user}ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
# as Ctrl-C: jobs go on after the next start
KillSignal=SIGINT
KillMode=mixed
TimeoutStopSec=60
Restart=on-failure
RestartSec=2
LimitNOFILE=1048576
TasksMax=infinity
# instances get control groups of their own, and a task beyond its memory ends alone
Delegate=yes
OOMPolicy=continue
{environment}
[Install]
WantedBy={target}
"""


@click.command("install-service", cls=Plain)
@click.option("--user", "user_unit", is_flag=True, help="A unit of this user alone, in ~/.config/systemd/user.")
@click.option("--run-as", metavar="USER", help="User whom the service runs as. [default: root, of --user this one]")
@click.option("--print", "only_print", is_flag=True, help="Print the unit, and install nothing.")
@click.option("--force", is_flag=True, help="Replace a unit that is there.")
@click.argument("options", metavar="[-- OPTION...]", nargs=-1)
def command(
    user_unit: bool, run_as: str | None, only_print: bool, force: bool, options: tuple[str, ...], state_dir: Path | None
) -> None:
    """Write a systemd unit that runs remora up, with these OPTIONS, and say how to start it. Nothing is started.

    Without --user it is a unit of the machine, which root installs; its state is in /var/lib/remora. What takes it away
    is systemctl disable --now remora, and removing the unit; the state directory stays until you remove it.

    \b
    Examples:
      sudo remora install-service -- --host 0.0.0.0 --tls-cert /etc/remora/cert.pem --tls-key /etc/remora/key.pem
      remora install-service --user
      remora install-service --print -- --port 9000

    Exit status: 0, or 1 if it could not be installed.
    """
    if user_unit and run_as:
        raise click.UsageError("--user excludes --run-as", click.get_current_context())
    if run_as is not None:
        try:
            pwd.getpwnam(run_as)
        except KeyError:
            raise Problem(f'there is no user "{run_as}" on this machine') from None
    state = (state_dir or (state_directory(os.environ) if user_unit else Path("/var/lib/remora"))).absolute()
    made = unit([str(program()), "up", "--state-dir", str(state), *options], user_unit=user_unit, run_as=run_as)
    if only_print:
        print(made, end="")
        return
    path = (user_directory() if user_unit else SYSTEM) / NAME
    install(path, made, force=force)
    control = "systemctl --user" if user_unit else "systemctl"
    note(f"wrote {path}; start it: {control} daemon-reload && {control} enable --now remora")
    if user_unit:
        note("it ends when you log out, unless: loginctl enable-linger")


def unit(words: list[str], *, user_unit: bool, run_as: str | None) -> str:
    """The text of the unit."""
    known = {name: os.environ[name] for name in ("PATH",) if os.environ.get(name)}
    environment = "".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in known.items())
    user = f"User={run_as}\n" if run_as else ""
    target = "default.target" if user_unit else "multi-user.target"
    command = " ".join(map(quoted, words))
    return UNIT.format(user=user, command=command, environment=environment, target=target)


def quoted(word: str) -> str:
    """A word as systemd reads it: `%` and `$` have a meaning there, line breaks have no place."""
    if not word.isprintable():
        raise Problem(f"{word!r} cannot be in a unit")
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if word != shlex.quote(word) or " " in word else word


def program() -> Path:
    """This program, as the unit calls it."""
    return Path(sys.argv[0]).absolute()


def user_directory() -> Path:
    home = home_directory(os.environ)
    base = os.environ.get("XDG_CONFIG_HOME")
    if not base and home is None:
        raise Problem("this user has no home directory: a unit of the machine needs none")
    return Path(base or f"{home}/.config") / "systemd" / "user"


def install(path: Path, made: str, *, force: bool) -> None:
    """Write the unit, whole or not at all. Raises Problem."""
    if path.exists() and not force and path.read_text() != made:
        raise Problem(f"{path} is there already, with something else in it: --force replaces it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{NAME}.new")
        temporary.write_text(made)
        temporary.replace(path)
    except PermissionError as error:
        raise Problem(f"cannot write {error.filename}: {error.strerror} (as root, or with --user)") from None


with_state_dir(command)
