"""remora cluster plan: say what a deploy would change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import text
from cli.frame import Plain
from cli.service.cluster import jobfiles, secrets
from cli.service.cluster.common import ask_nomad, check_version, choosing, wanted_jobs

if TYPE_CHECKING:
    from scheduler.nomad.api import NomadApi

Json = dict[str, Any]
UNCHANGED = "None"
WOULD_CHANGE = 2


@click.command("plan", cls=Plain)
@choosing
@click.option("--json", "as_json", is_flag=True, help="One JSON object per job.")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
def command(
    jobs: tuple[str, ...], files: tuple[Path, ...], words: tuple[str, ...], directory: Path | None, as_json: bool
) -> None:
    """Ask Nomad what registering the job files would change, and whether there is room. Changes nothing.

    \b
    Examples:
      remora cluster plan --var-file site.hcl
      remora cluster plan gateway --var gateways=3

    Exit status: 0 if nothing would change, 2 if something would, 1 if something is wrong.
    """
    chosen = jobfiles.choices(files, words, directory)
    texts = jobfiles.rendered(wanted_jobs(jobs), chosen, directory)
    namespace = str(chosen["namespace"])

    async def work(api: NomadApi) -> list[Json]:
        await check_version(api)
        there = namespace in await api.namespaces()
        return [await planned(api, job, told) if there else absent(job) for job, told in texts.items()]

    plans = ask_nomad(work, namespace)
    for plan in plans:
        if as_json:
            print(text.compact(plan))
        else:
            print(f"{plan['job']}: {plan['change']}")
            for line in [*plan["differences"], *plan["lacks"]]:
                print(f"  {line}")
    click.get_current_context().exit(0 if all(plan["change"] == "unchanged" for plan in plans) else WOULD_CHANGE)


def absent(job: str) -> Json:
    """The same of a job whose namespace is not there yet, which Nomad cannot plan."""
    return {"job": jobfiles.job_id(job), "change": "new", "differences": [], "lacks": []}


async def planned(api: NomadApi, job: str, told: str) -> Json:
    """What registering this text would do: `{"job", "change", "differences", "lacks", "index"}`."""
    document = await secrets.stamped(api, job, await api.parse(told))
    answer = await api.plan({"Job": document})
    diff = answer.get("Diff") or {}
    kind = {"Added": "new", UNCHANGED: "unchanged"}.get(str(diff.get("Type", UNCHANGED)), "changed")
    return {
        "job": jobfiles.job_id(job),
        "change": kind,
        "differences": list(differences(diff)) if kind == "changed" else [],
        "lacks": list(lacks(answer.get("FailedTGAllocs") or {})),
    }


def differences(diff: Json, path: str = "") -> Iterator[str]:
    """Lines `path: old -> new` of one of Nomad's nested diffs."""
    for field in diff.get("Fields") or []:
        if field["Type"] != UNCHANGED:
            yield f"{path}{field['Name']}: {field['Old'] or 'nothing'} -> {field['New'] or 'nothing'}"
    for below in ("TaskGroups", "Tasks", "Objects"):
        for part in diff.get(below) or []:
            if part.get("Type") != UNCHANGED:
                yield from differences(part, f"{path}{part['Name']}.")


def lacks(failed: Json) -> Iterator[str]:
    """Why groups find no place, a line each."""
    for group, metric in failed.items():
        if found := why_not(metric):
            yield f"{group}: no node has room: {found}"


def why_not(metric: Json) -> str:
    """Of one evaluation's figures, what was lacking on how many nodes."""
    lacking = {**(metric.get("DimensionExhausted") or {}), **(metric.get("ConstraintFiltered") or {})}
    found = ", ".join(f"{what} on {nodes}" for what, nodes in sorted(lacking.items()))
    return found or f"{metric.get('NodesEvaluated', 0)} nodes were looked at"
