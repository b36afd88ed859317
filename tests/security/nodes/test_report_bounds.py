"""What one message, and one transaction, may hold: while either is worked on, nothing else of its kind is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from scheduler.model import wire
from scheduler.supervisor.agents.service import REPORT_PAGE, pages_of


def report(outputs: int) -> wire.AttemptReport:
    record = wire.OutputRecord(name="/jill/stor/x")
    return wire.AttemptReport(task=1, attempt=1, outcome=wire.Outcome.OK, outputs=[record] * outputs)


def test_a_message_is_bounded_in_bytes_and_in_parts() -> None:
    assert wire.excess(b"x" * wire.MAX_BYTES) is None
    assert wire.excess(b"x" * (wire.MAX_BYTES + 1)) == f"{wire.MAX_BYTES + 1} bytes, above {wire.MAX_BYTES}"
    assert wire.excess(b"[]," * wire.MAX_PARTS) == f"{2 * wire.MAX_PARTS} parts, above {wire.MAX_PARTS}"


def test_an_attempt_with_as_many_outputs_as_it_may_have_fits_into_a_message() -> None:
    blob = wire.BlobRef(id="00000000-0000-4000-8000-000000000000", size=1 << 40, md5="1B2M2Y8AsgTpgAmY7PhCfg==")
    name = f"/jill/jobs/{blob.id}/stor/jill/stor/input.0.{blob.id}"
    record = wire.OutputRecord(name=name, blob=blob, reducer=3, named=True)
    most = replace(report(0), outputs=[record] * wire.MAX_OUTPUTS)
    request = wire.ReportRequest(agent=1, state=wire.AgentState(seen=1), attempts=[most])
    body = request.model_dump_json(exclude_defaults=True).encode()
    assert wire.excess(body) is None
    assert wire.ReportRequest.model_validate_json(body) == request


def test_more_outputs_than_an_attempt_may_have_are_no_report() -> None:
    many = report(wire.MAX_OUTPUTS + 1)
    request = wire.ReportRequest.model_construct(agent=1, state=wire.AgentState(seen=1), attempts=[many])
    with pytest.raises(ValidationError, match="at most 10000 items"):
        wire.ReportRequest.model_validate_json(request.model_dump_json())
    with pytest.raises(ValidationError, match="at most 10000 items"):
        wire.check(many)


@pytest.mark.parametrize(
    "part",
    [
        {"outputs": [wire.OutputRecord(name="no path")]},
        {"outputs": [wire.OutputRecord(name="/a", headers={"x" * 300: ""})]},
        {"outputs": [wire.OutputRecord(name="/a", headers={"x": "\ud800"})]},
        {"outputs": [wire.OutputRecord(name="/a", reducer=-1)]},
        {"outputs": [wire.OutputRecord(name="/a", blob=wire.BlobRef(id="../etc", size=1))]},
        {"core": wire.SavedFile(name="/a/../b", blob=wire.BlobRef(id="", size=1))},
        {"usage": wire.Usage(bytes_out=1 << 60)},
        {"message": "x" * 70_000},
        {"code": "NoSuchCode"},
    ],
)
def test_what_a_task_has_chosen_is_checked_before_it_is_sent(part: dict[str, Any]) -> None:
    wire.check(report(1))
    with pytest.raises(ValidationError):
        wire.check(replace(report(1), **part))


def test_a_message_of_nothing_but_mistakes_is_refused_at_the_first() -> None:
    body = b'{"agent":1,"state":{"seen":0},"attempts":[' + b"{}," * 4000 + b"{}]}"
    with pytest.raises(ValidationError) as refused:
        wire.ReportRequest.model_validate_json(body)
    assert refused.value.error_count() < 5


@pytest.mark.parametrize("outputs", [[1] * 2000, [4000] * 7, [wire.MAX_OUTPUTS] * 3, [0], []])
def test_a_batch_is_committed_in_transactions_of_bounded_length(outputs: list[int]) -> None:
    reports = [report(count) for count in outputs]
    pages = list(pages_of(reports))
    assert [each for page in pages for each in page] == reports
    for page in pages:
        assert sum(len(each.outputs) for each in page) <= wire.MAX_OUTPUTS
        assert len(page) <= REPORT_PAGE
