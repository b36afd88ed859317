"""Micro-benchmarks of the control plane: single mechanisms, each in a transaction of its own in memory."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pytest_benchmark.fixture import BenchmarkFixture

from scheduler.common.ids import new_id
from scheduler.engine import fair_share
from scheduler.model import wire
from scheduler.model.credentials import httpsig
from scheduler.model.credentials.httpsig import PublicKey
from scheduler.model.job import JobSpec, parse_job
from scheduler.objects import namespace
from scheduler.objects.blobs import EMPTY_MD5
from scheduler.objects.entries import NewObject
from scheduler.records.database import Connection
from scheduler.supervisor.agents.leases import lease_rows, task_leases
from scheduler.supervisor.agents.pool_specs import pool_spec
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs import intake
from scheduler.supervisor.jobs.dispatch import PAGE, dispatch_page
from scheduler.supervisor.jobs.status import status
from scheduler.supervisor.tasks.blob_ownership import Reporter
from scheduler.supervisor.tasks.commit import commit_reports
from tests.support.nodes.instant_agent import ok
from tests.support.services.records import connect

BATCH = 250
DOCUMENT = {
    "name": "words",
    "phases": [{"exec": "tr -cs A-Za-z '\\n'", "memory": 256}, {"type": "reduce", "exec": "wc", "count": 4}],
}
KEYS = [
    ed25519.Ed25519PrivateKey.generate(),
    ec.generate_private_key(ec.SECP256R1()),
    rsa.generate_private_key(65537, 2048),
]


def new_objects(prefix: str, count: int) -> list[NewObject]:
    return [NewObject(f"/jill/stor/{prefix}{n}", new_id(), 0, EMPTY_MD5) for n in range(count)]


def job_with_inputs(c: Connection, count: int) -> LiveJob:
    live = intake.create_job(c, "jill", parse_job({"phases": [{"exec": "true"}]}), 1)
    intake.add_inputs(c, live, [f"/jill/stor/in{n}" for n in range(count)], 1)
    return live


def test_parse_job(benchmark: BenchmarkFixture) -> None:
    spec: JobSpec = benchmark(parse_job, DOCUMENT)
    assert len(spec.phases) == 2


@pytest.mark.parametrize("key", KEYS, ids=lambda key: httpsig.default_algorithm(key))
def test_verify_a_signature(benchmark: BenchmarkFixture, key: Any) -> None:
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    text = httpsig.signing_text(("date",), "GET", "/", lambda _: ["Fri, 01 Jan 2027 00:00:00 GMT"])
    header = httpsig.authorization("/jill/keys/aa", httpsig.default_algorithm(key), ("date",), httpsig.sign(key, text))

    def work() -> bool:
        parts = httpsig.parse_authorization(header.removeprefix("Signature "))
        return PublicKey.parse(line).verify(parts.algorithm, parts.signature, text)

    assert benchmark(work)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: httpsig.default_algorithm(key))
def test_sign(benchmark: BenchmarkFixture, key: Any) -> None:
    assert benchmark(httpsig.sign, key, b"date: Fri, 01 Jan 2027 00:00:00 GMT")


def test_put_objects(benchmark: BenchmarkFixture) -> None:
    c = connect("jill")
    prefixes = (f"batch{n}-" for n in itertools.count())

    def setup() -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (c, new_objects(next(prefixes), BATCH), 1), {}

    placed = benchmark.pedantic(namespace.put_objects, setup=setup, rounds=40)  # type: ignore[no-untyped-call]
    assert not placed.refused


def test_resolve_a_page_of_names(benchmark: BenchmarkFixture) -> None:
    c = connect("jill")
    namespace.put_objects(c, new_objects("o", 10_000), 1)
    wanted = [f"/jill/stor/o{n}" for n in range(0, 10_000, 10_000 // PAGE)]
    assert len(benchmark(namespace.resolve_many, c, wanted)) == len(wanted)


def test_dispatch_a_page(benchmark: BenchmarkFixture) -> None:
    c = connect("jill")
    rounds = 30
    namespace.put_objects(c, new_objects("in", PAGE * rounds), 1)
    live = job_with_inputs(c, PAGE * rounds)
    _, count = benchmark.pedantic(dispatch_page, (c, live, 1), rounds=rounds)  # type: ignore[no-untyped-call]
    assert count == PAGE


def test_lease_and_commit_a_batch(benchmark: BenchmarkFixture) -> None:
    c = connect("jill")
    rounds = 30
    namespace.put_objects(c, new_objects("in", BATCH * rounds), 1)
    live = job_with_inputs(c, BATCH * rounds)
    while dispatch_page(c, live, 1)[1]:
        pass
    pool = live.pools[0]
    agent = c.insert("insert_agent", node="here", now=1)
    spec = pool_spec(c, live, pool, "here", "{}/{}".format)

    def work() -> int:
        rows = lease_rows(c, pool, agent, [(None, BATCH)], 1)
        reports = [ok(spec, task) for task in task_leases(c, live, rows, "here", {})]
        commit_reports(c, lambda _: live, Reporter(agent, "here"), reports, 1)
        return len(reports)

    assert benchmark.pedantic(work, rounds=rounds) == BATCH  # type: ignore[no-untyped-call]


def test_a_report_goes_over_the_wire(benchmark: BenchmarkFixture) -> None:
    blob = wire.BlobRef(id=new_id(), size=30, md5=EMPTY_MD5)
    output = wire.OutputRecord(name="/jill/jobs/x/stor/jill/stor/in.0.y", blob=blob)
    reports = [wire.AttemptReport(task=n, attempt=1, outcome=wire.Outcome.OK, outputs=[output]) for n in range(BATCH)]
    request = wire.ReportRequest(agent=1, state=wire.AgentState(seen=1), attempts=reports)

    def work() -> wire.ReportRequest:
        return wire.ReportRequest.model_validate_json(request.model_dump_json(exclude_defaults=True))

    assert len(benchmark(work).attempts) == BATCH


def test_share_of_two_hundred_pools(benchmark: BenchmarkFixture) -> None:
    pools = [fair_share.PoolShare(n, 1 + n * 7 % 50, n % 3, 256 << n % 4, float(n), n % 2 == 0) for n in range(200)]
    targets = benchmark(fair_share.share, pools, fair_share.Capacity(16, 1 << 16))
    assert sum(targets.values()) <= 16


def test_status_document_is_json(benchmark: BenchmarkFixture) -> None:
    c = connect("jill")
    job_with_inputs(c, 10)
    row = c.one("job_by_id", job=1)
    assert row is not None
    assert json.loads(benchmark(lambda: json.dumps(status(c, row))))["state"]
