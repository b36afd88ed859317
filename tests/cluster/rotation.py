"""Everything that a cluster trusts is exchanged during a job, on the development cluster.

    python -m tests.cluster.rotation [--dir DIR] [--node n2] [--tls-only]

One job runs undisturbed; what it has put out is what the next one has to. While that one runs,

- the node's credential is revoked: what it held must run elsewhere, and it must get nothing more;
- it gets a new one (`remora cluster credential NODE --rotate`), and must get tasks again;
- the authority of all certificates is exchanged for another: in three steps, each of which is new files and a
  SIGHUP, and none of which may end a process. PostgreSQL's certificate is exchanged with the others.

Exit status 0 if the job ended without an error, with the same bytes, and all processes are those of the beginning.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from scheduler.tls import authority
from tests.cluster import certificates, remora
from tests.cluster import cluster as clusters
from tests.cluster.client import Records, User
from tests.cluster.machines import Machine, kill, wait_until

TASKS = 120
SECONDS = 0.5  # that each map task takes
PHASES = [
    {"exec": f'sleep {SECONDS}; cat; echo "$MANTA_INPUT_OBJECT"'},
    {"exec": f"sleep {SECONDS}; cat"},
    {"exec": "sort", "type": "reduce"},
]
JOB_SECONDS = 300.0
PATIENCE_SECONDS = 30.0


class FailedError(Exception):
    """What did not hold, in a sentence."""


def expect(true: object, sentence: str) -> None:
    if not true:
        raise FailedError(sentence)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=clusters.DEFAULT)
    parser.add_argument("--node", default="n2")
    parser.add_argument("--tls-only", action="store_true", help="leave the credential as it is")
    options = parser.parse_args()
    cluster = clusters.load(options.dir.absolute())
    clusters.enter_network(cluster)
    user, records = User(cluster), Records()
    names = [f"{n:03}" for n in range(TASKS)]
    home = f"{user.home}/stor/rotation-{os.getpid()}"
    user.put(home, {name: f"text {name}\n".encode() for name in names})
    inputs = [f"{home}/{name}" for name in names]
    expected = run(user, inputs)
    before = processes(cluster)
    try:
        job = user.submit(json.dumps({"phases": PHASES}).encode(), inputs)
        if not options.tls_only:
            exchange_credential(cluster, records, job, cluster.machines[options.node])
        exchange_authority(cluster)
        expect(user.status(job)["state"] != "done", "the job ended before all was exchanged: give it more tasks")
        status = user.finish(job, JOB_SECONDS)
        expect(not status["stats"]["errors"], f"the job has errors: {user.first_error(job)}")
        expect(user.results(job) == expected, "the job has put out other bytes than the undisturbed one")
        expect(processes(cluster) == before, f"other processes run now: {before} and {processes(cluster)}")
    except FailedError as error:
        print(f"FAILED: {error}")
        return 1
    print(f"the job ended right, with {status['stats']['retries']} tasks run again")
    return 0


def run(user: User, inputs: list[str]) -> list[bytes]:
    job = user.submit(json.dumps({"phases": PHASES}).encode(), inputs)
    user.finish(job, JOB_SECONDS)
    return user.results(job)


def processes(cluster: clusters.Cluster) -> dict[str, list[int]]:
    return {name: sorted(machine.pids("bin/remora")) for name, machine in cluster.machines.items()}


def exchange_credential(cluster: clusters.Cluster, records: Records, job: str, node: Machine) -> None:
    def held() -> list[dict[str, object]]:
        return [task for task in records.leased(job) if task["node"] == node.name]

    expect(wait_until(held, PATIENCE_SECONDS, 0.1), f"{node.name} has got no task")
    tasks = held()
    began = time.monotonic()
    remora.operate(cluster, "cluster", "credential", node.name, "--revoke")
    gone = wait_until(lambda: records.gone_on(tasks) and not held(), PATIENCE_SECONDS, 0.1)
    expect(gone, f"what {node.name} held does not go on elsewhere")
    print(f"revoked: its {len(tasks)} tasks went on elsewhere after {time.monotonic() - began:.1f} s")
    expect(not wait_until(held, 3.0, 0.1), f"{node.name} has got tasks without a credential")
    began = time.monotonic()
    remora.give_credential(cluster, node, "--rotate")
    expect(wait_until(held, PATIENCE_SECONDS, 0.1), f"{node.name} has got no task with its new credential")
    print(f"rotated: it had tasks again after {time.monotonic() - began:.1f} s")


def exchange_authority(cluster: clusters.Cluster) -> None:
    fresh = cluster.directory / "authority.new"
    shutil.rmtree(fresh, ignore_errors=True)
    authority.init(fresh)
    old, new = ((directory / "ca.pem").read_bytes() for directory in (cluster.authority, fresh))
    began = time.monotonic()
    believe(cluster, old + new)
    for machine in cluster.machines.values():
        certificates.give(fresh, machine, authorities=old + new)
    certificates.give_server(fresh, cluster.hub, cluster.hub.local / "postgresql", "postgres")
    hang_up(cluster)
    believe(cluster, new)
    shutil.rmtree(cluster.authority)
    fresh.rename(cluster.authority)
    print(f"the authority was exchanged in {time.monotonic() - began:.1f} s")


def believe(cluster: clusters.Cluster, authorities: bytes) -> None:
    """Let every part take certificates of these."""
    for machine in cluster.machines.values():
        authority.write(machine.local / "tls" / "ca.pem", authorities, 0o600)
    authority.write(cluster.authority / "ca.pem", authorities, 0o644)  # ours, who are a user
    hang_up(cluster)


def hang_up(cluster: clusters.Cluster) -> None:
    """SIGHUP to all parts, and wait until each has said what it makes of its files."""
    said = {log: count(log) for log in logs(cluster)}
    for machine in cluster.machines.values():
        for pid in machine.pids("bin/remora"):
            kill(pid, signal.SIGHUP)
    if (server := cluster.hub.pid_of("postgres")) is not None:
        kill(server, signal.SIGHUP)
    done = wait_until(lambda: all(count(log) > before for log, before in said.items()), PATIENCE_SECONDS, 0.1)
    expect(done, "not every part has read its new certificate")


def logs(cluster: clusters.Cluster) -> list[Path]:
    """Where parts that run write."""
    pattern = "nomad/alloc/*/alloc/logs/*.stderr.0" if cluster.nomad else "log/*.log"
    found = [path for machine in cluster.machines.values() for path in machine.local.glob(pattern)]
    return [path for path in found if path.name.split(".")[0].split("-")[0] in ("gateway", "supervisor", "agent")]


def count(log: Path) -> int:
    """How often a part has taken new files."""
    return log.read_bytes().count(b'"msg": "certificate read"')


if __name__ == "__main__":
    sys.exit(main())
