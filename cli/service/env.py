"""remora env: how to reach the service that runs here, as shell assignments."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from cli.client.problem import Problem
from cli.client.settings import state_directory
from cli.frame import Plain
from cli.service.up import state_dir_option


@click.command("env", cls=Plain)
def command(state_dir: Path | None) -> None:
    """Print the environment that points clients at the service that runs on this machine.

    The commands of Remora find it by themselves when it has the default state directory; this is for others, and for
    services elsewhere.

    \b
    Example:
      eval "$(remora env --state-dir /tmp/try)"

    Exit status: 0, or 1 if no service runs there.
    """
    from scheduler.service.state import ServiceNotRunning, StateError, read_info

    directory = state_dir or state_directory(os.environ)
    try:
        info = read_info(directory)
    except ServiceNotRunning:
        raise Problem(f"no service runs with the state directory {directory} (start one: remora up)") from None
    except StateError as error:
        raise Problem(str(error)) from None
    values = {
        "MANTA_URL": info.url,
        "MANTA_USER": info.login,
        "MANTA_KEY_ID": info.key_id,
        "REMORA_STATE_DIR": str(info.state_dir),
    }
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")


command.params.insert(0, state_dir_option())
