"""remora verify: check records and objects, and repair what is safe."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import text, when
from cli.frame import FAILED, Plain, note
from cli.meter import Meter
from cli.service.account_options import json_option, use_store, with_store

if TYPE_CHECKING:
    from scheduler.objects.blobs import BlobStore
    from scheduler.records.database import Database
    from scheduler.service.operators.verify import Summary

WEEK = 7 * 86_400


class Grace(when.Duration):
    """A length of time that may be nothing."""

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return 0 if value in (0, "0", "0s") else super().convert(value, param, ctx)


@click.command("verify", cls=Plain)
@click.argument("job", required=False)
@click.option("--deep", is_flag=True, help="Read all bytes, and compare their MD5 with the one that was stored.")
@click.option("--repair", "mend", is_flag=True, help="Mend what is safe to mend; everything else is only said.")
@click.option("--grace", type=Grace(52 * WEEK), metavar="TIME", default="7d", show_default=True,
              help="Age from which bytes without a name are wrong: tasks may hold younger ones.")  # fmt: skip
def command(
    job: str | None, deep: bool, mend: bool, grace: int, as_json: bool, objects: Path | None, state_dir: Path | None
) -> None:
    """Check that the records of a service agree with themselves and with its objects; with JOB, those of one job.

    Counters equal what they count, a task has one committed attempt, outputs are visible exactly if it has committed,
    every name has its bytes, and no bytes are without a name. The service may run meanwhile, or be stopped. JOB is an
    id, the beginning of one, or last, of any account, archived or not.

    Of what is wrong each line says one thing, at most 20 of a rule. --repair mends the counts of directories, missing
    directories, what archived jobs still hold, keys without an account, and bytes without a name: nothing of a job that
    goes on, and no bytes that are lost. With --json each finding is a line, and the summary is the last.

    \b
    Examples:
      remora verify
      remora verify --deep --json | jq -c 'select(.rule)'
      remora verify --repair --grace 1d
      mrjob verify 8bd3c96e
      remora verify --database-file /etc/remora/database --objects /mnt/objects

    Exit status: 0 if everything is right or was mended, else 1.
    """
    from scheduler.service.operators.verify import Summary

    summary = Summary()

    async def check(db: Database, blobs: BlobStore) -> None:
        from scheduler.service.operators import find_job
        from scheduler.service.operators import verify as verification

        with Meter() as meter:
            if job is None:
                findings = verification.verify(
                    db, blobs, summary, grace_ms=grace * 1000, deep=deep, progress=meter.show
                )
            else:
                found = await db.read(lambda c: find_job.find_job(c, job))
                findings = verification.verify_job(db, blobs, summary, found, deep=deep, progress=meter.show)
            async for finding in findings:
                repaired = mend and await verification.repair(db, blobs, finding)
                summary.findings += 1
                summary.repaired += repaired
                summary.by_rule[finding.rule] = summary.by_rule.get(finding.rule, 0) + 1
                meter.wipe()
                if as_json:
                    record = {"rule": finding.rule, "message": finding.sentence, "job": finding.details.get("job")}
                    more = {"repairable": finding.rule in verification.REPAIRABLE, "repaired": repaired}
                    print(text.compact(record | more), flush=True)
                else:
                    print(f"{text.escape(finding.sentence)}{' (mended)' if repaired else ''}", flush=True)

    use_store(state_dir, objects, check)
    tell(summary, as_json=as_json, mend=mend)
    if summary.findings > summary.repaired:
        click.get_current_context().exit(FAILED)


def tell(summary: Summary, *, as_json: bool, mend: bool) -> None:
    """The last line: what was compared, and what became of it."""
    if as_json:
        print(text.compact({"summary": asdict(summary)}))
        return
    compared = [text.count(summary.rules, "rule"), text.count(summary.references, "name of bytes")]
    compared[1] = f"{summary.references} names with bytes"
    if summary.files:
        compared.append(text.count(summary.files, "file"))
    if summary.bytes_read:
        compared.append(f"{text.human_size(summary.bytes_read)} bytes read")
    outcome = "nothing is wrong"
    if summary.findings:
        outcome = text.count(summary.findings, "finding")
        from scheduler.service.operators.verify import REPAIRABLE

        if summary.repaired:
            outcome += f", {summary.repaired} mended"
        elif not mend and not REPAIRABLE.isdisjoint(summary.by_rule):
            outcome += ": --repair mends some of them"
    note(f"compared {', '.join(compared)}: {outcome}")


with_store(command, json_option())
