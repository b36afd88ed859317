"""remora agent: the instances of one node of a cluster, in the foreground."""

from __future__ import annotations

from typing import Any

import click

from cli.client.problem import Problem
from cli.frame import Plain
from scheduler.agent.options import OPTIONS, Option, OptionsError, parse


def option(told: Option) -> click.Option:
    """The same option as a command line of ours shows it. What it means is decided by the agent."""
    return click.Option(
        [told.name], metavar=told.metavar or (f"[{'|'.join(told.choices)}]" if told.choices else None),
        is_flag=told.flag, help=told.help, hidden=told.hidden,
    )  # fmt: skip


def words(values: dict[str, Any]) -> list[str]:
    """Options as they were given."""
    found = []
    for told in OPTIONS:
        if (value := values[told.attribute]) not in (None, False):
            found.append(told.name if told.flag else f"{told.name}={value}")
    return found


@click.command("agent", cls=Plain, params=[option(told) for told in OPTIONS])
def command(**values: Any) -> None:
    """Run the tasks of this node, until SIGTERM, or until SIGUSR1 has drained it. One agent per node; it finds all
    supervisors by itself.

    The node proves itself with a credential, which `remora cluster credential` makes. If it is cut off from the
    supervisors for longer than their patience, its tasks end and run elsewhere; it joins again when it can.

    Every option may be a variable of the environment instead: REMORA_URL, REMORA_STATE_DIR and so on. The credential
    itself may be in REMORA_AGENT_CREDENTIAL.

    \b
    Examples:
      remora agent --url http://gw1:8081,http://gw2:8081 --credential-file /etc/remora/cred --state-dir /var/remora
      remora agent --url http://gw1:8081 --node n4 --credential-file n4.credential --state-dir /tmp/n4 --slots 2

    Logs are JSON lines on stderr.

    Exit status: 0 when it was told to end or drained, 1 if no instance can be made here.
    """
    try:
        options = parse(words(values))
        from scheduler.agent.process import run

        status = run(options)
    except OptionsError as error:
        raise Problem(str(error)) from None
    click.get_current_context().exit(status)
