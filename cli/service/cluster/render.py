"""remora cluster render: print the job files as they would be registered."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.client.problem import Problem
from cli.frame import Plain
from cli.service.cluster import jobfiles
from cli.service.cluster.common import ask_nomad, choosing, wanted_jobs

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi


@click.command("render", cls=Plain)
@choosing
@click.option("--json", "as_json", is_flag=True, help="As documents of Nomad's API, one per line; Nomad makes them.")
@click.option("--variables", "only_variables", is_flag=True, help="Only the variables, as a file of them.")
@click.option("--dir", "target", metavar="DIR", type=click.Path(path_type=Path), help="Write files to DIR instead.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
def command(
    jobs: tuple[str, ...],
    files: tuple[Path, ...],
    words: tuple[str, ...],
    directory: Path | None,
    as_json: bool,
    only_variables: bool,
    target: Path | None,
) -> None:
    """Print the job files gateway, supervisor and agent (or those named) with what is chosen filled in.

    What is printed can be given to `nomad job run` as it is. With --dir everything is written there, policies too, to
    be changed and given to the other commands by --jobs.

    \b
    Examples:
      remora cluster render gateway --var gateways=3
      remora cluster render --variables >site.hcl
      remora cluster render --json agent | jq .TaskGroups[0].Tasks[0].Resources
    """
    chosen = jobfiles.choices(files, words, directory)
    if only_variables:
        print(chosen_text(chosen), end="")
        return
    texts = jobfiles.rendered(wanted_jobs(jobs), chosen, directory)
    if target:
        write(target, texts, chosen, directory)
    elif as_json:
        for document in ask_nomad(lambda api: parsed(api, texts.values())):
            print(text.compact(document))
    else:
        print("\n".join(texts.values()), end="")


async def parsed(api: NomadApi, texts: Iterable[str]) -> list[dict[str, Any]]:
    return [await api.parse(told) for told in texts]


def chosen_text(chosen: dict[str, jobfiles.Value]) -> str:
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in chosen.items())


def write(target: Path, texts: dict[str, str], chosen: dict[str, jobfiles.Value], directory: Path | None) -> None:
    """Everything that the other commands read, in a directory. Raises `Problem`."""
    written = {f"{job}.nomad.hcl": text for job, text in texts.items()}
    written[jobfiles.VARIABLES] = chosen_text(chosen)
    for policy in ("supervisor", "operator"):
        name = f"policies/{policy}.hcl"
        written[name] = jobfiles.policy(policy, str(chosen["namespace"]), directory)
    try:
        for name, told in written.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(told, encoding="utf-8")
    except OSError as error:
        raise Problem(f"cannot write {error.filename}: {error.strerror}") from None
