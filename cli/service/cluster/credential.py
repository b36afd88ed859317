"""remora cluster credential: print the credential of a node's agent."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cli.client.problem import Problem
from cli.frame import Plain
from cli.service.cluster import secrets
from cli.service.cluster.common import ask_nomad


@click.command("credential", cls=Plain)
@click.option(
    "--agent-key-file",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Holds the agents' key. [default: $REMORA_AGENT_KEY_FILE, $REMORA_AGENT_KEY, or Nomad's variable]",
)
@click.option("--namespace", metavar="NAME", help="Where Nomad keeps the variable. [default: $NOMAD_NAMESPACE]")
@click.argument("node")
def command(node: str, file: Path | None, namespace: str | None) -> None:
    """Print the credential with which the agent of NODE registers: for nodes where Nomad does not start the agent.

    It is good for this node's name only, until the agents' key is changed. Whoever has it can pretend to be that node.

    \b
    Examples:
      remora cluster credential n4 --agent-key-file /etc/remora/agent.key >n4.credential
      ssh n4 'cat >/etc/remora/credential' <n4.credential
    """
    from scheduler.gateway.credentials import issue

    try:
        print(issue(key(file, namespace), node))
    except ValueError as error:
        raise Problem(str(error)) from None


def key(file: Path | None, namespace: str | None) -> str:
    """The agents' key: of a file, the environment, or Nomad. Raises `Problem`."""
    named = os.environ.get("REMORA_AGENT_KEY_FILE")
    if file is None and not named and (given := os.environ.get("REMORA_AGENT_KEY")):
        return given.strip()
    if file is not None or named:
        path = file or Path(str(named))
        try:
            return path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise Problem(f"cannot read the agents' key in {path}") from None
    found = ask_nomad(lambda api: secrets.kept(api, "agent"), namespace).get("agent_key")
    if not found:
        raise Problem(f"there is no agents' key: no file was given, and Nomad has no variable {secrets.path('agent')}")
    return found
