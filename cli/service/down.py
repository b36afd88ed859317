"""remora down: end the service of this machine."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from cli.client.problem import Problem
from cli.client.settings import state_directory
from cli.frame import Plain, note
from cli.service.account_options import said_plainly, with_state_dir
from cli.when import Duration

PAUSE = 0.1


@click.command("down", cls=Plain)
@click.option("--timeout", type=Duration(3600), default="60s", show_default=True, metavar="TIME",
              help="How long to wait for its end.")  # fmt: skip
def command(timeout: int, state_dir: Path | None) -> None:
    """End the service of a state directory, as Ctrl-C does where it runs, and wait until it has ended.

    Tasks that run are ended; their jobs go on when the service is started again. A service that does not run is no
    error. One that systemd keeps (remora install-service) is ended by systemctl stop, else it may be started again.

    \b
    Examples:
      remora down
      remora down --state-dir /tmp/try --timeout 10s

    Exit status: 0 if it does not run any more, else 1.
    """
    from scheduler.service.state import ServiceNotRunning, read_info

    directory = state_dir or state_directory(os.environ)
    with said_plainly():
        try:
            pid = read_info(directory).pid  # its lock is held, so this process is it
        except ServiceNotRunning:
            note(f"no service runs on {directory}")
            return
        try:
            os.kill(pid, signal.SIGINT)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise Problem(f"process {pid} is another user's") from None
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            try:
                if read_info(directory).pid != pid:
                    raise Problem("it was started again meanwhile (by systemd? systemctl stop remora)")
            except ServiceNotRunning:
                note("ended")
                return
            time.sleep(PAUSE)
    raise Problem(f"process {pid} has not ended within {timeout} s")


with_state_dir(command)
