"""A cluster whose parts have a certificate each: jobs run as ever, and certificates are exchanged meanwhile."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.services import postgres
from tests.support.services.processes import Cluster, clustered
from tests.support.services.user import reduce

LINES = 30_000
# Larger than what travels in one message, and made by many tasks, so that some of it is on the other node.
BIG = f"yes $(cat) | head -n {LINES}"


def test_a_job_runs_over_nodes_that_trust_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = Certificates(tmp_path / "authority")
    monkeypatch.setenv("REMORA_CA_FILE", str(certificates.authority))
    with clustered(tmp_path, postgres.shared(), nodes=2, certificates=certificates) as cluster:
        assert all(part.url.startswith("https://") for part in cluster.parts.values() if part.url)
        with cluster.user() as user:
            inputs = [user.put(f"in{n}", f"text{n}".encode()) for n in range(6)]
            job = user.create(f"{BIG}; sleep 0.3", "cat", reduce("sort | uniq -c; mls ~~/stor | wc -l"))
            user.add(job, *inputs)
            user.wait(job, lambda status: status["stats"]["tasksDone"] > 0)
            give_new_ones(cluster, certificates)
            ended = user.finish(job)
            assert ended.errors == []
            counted = user.texts(ended)[0].split()
        assert sorted(counted[:-1]) == sorted(word for n in range(6) for word in (str(LINES), f"text{n}"))
        assert counted[-1] == "6"


def give_new_ones(cluster: Cluster, certificates: Certificates) -> None:
    for name, part in cluster.parts.items():
        certificates.issue(name)
        part.process.send_signal(signal.SIGHUP)
