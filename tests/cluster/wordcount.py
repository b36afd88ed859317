"""The word count with four reducers, on the development cluster, against the same as a pipeline on this machine.

    python -m tests.cluster.wordcount [--dir DIR] [--data DIR] [--copies N]

The texts are those that ship with the command line, or all `*.txt` of --data, each stored --copies times
so that there is work for every node. Prints how many words there are, which nodes ran tasks, and, on a
cluster with Nomad, what Nomad says of one pool of instances while it is there.

Exit status 0 if the answers are equal and every node ran tasks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cluster import cluster as clusters
from tests.cluster.client import Records, User, metric

SAMPLES = clusters.ROOT / "cli" / "samples"
WORDS = "grep -ohE '[A-Za-z]+'"
LOWER = "tr A-Z a-z"
REDUCERS = 4
PHASES = [
    {"exec": f"{WORDS} | {LOWER}"},
    {"exec": f"msplit -n {REDUCERS}"},
    {"exec": "sort | uniq -c", "type": "reduce", "count": REDUCERS},
]
LOCAL = f"{WORDS} *.txt | {LOWER} | sort | uniq -c"
JOB_SECONDS = 600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=clusters.DEFAULT)
    parser.add_argument("--data", type=Path, default=SAMPLES)
    parser.add_argument("--copies", type=int, default=40)
    options = parser.parse_args()
    cluster = clusters.load(options.dir.absolute())
    clusters.enter_network(cluster)
    texts = {path.name: path.read_bytes() for path in sorted(options.data.glob("*.txt"))}
    copies = {f"{n}-{name}": text for n in range(options.copies) for name, text in texts.items()}
    user = User(cluster)
    directory = f"{user.home}/stor/words-{os.getpid()}"
    user.put(directory, copies)
    began = time.monotonic()
    job = user.submit(json.dumps({"phases": PHASES}).encode(), [f"{directory}/{name}" for name in copies])
    if cluster.nomad:
        while user.status(job)["state"] != "done" and not show_pool(cluster, job):
            time.sleep(0.1)
    status = user.finish(job, JOB_SECONDS)
    seconds = time.monotonic() - began
    nodes = Records().made_at(job)
    if status["stats"]["errors"]:
        print(f"job {job} has errors: {user.first_error(job)}")
        return 1
    counted = Counter(line for part in user.results(job) for line in part.splitlines())
    expected = Counter(counted_here(copies).splitlines())
    tasks = status["stats"]["tasks"]
    print(f"{len(copies)} texts, {tasks} tasks, {len(expected)} different words, {seconds:.1f} s")
    print(f"nodes that made intermediates, and by how many tasks: {nodes}")
    print(f"map tasks on intermediates: {metric(cluster, 'remora_map_tasks_placed_total')}")
    equal = counted == expected
    for line in sorted((counted - expected) | (expected - counted))[:5]:
        print(f"  differs: {line.decode(errors='replace')}")
    print("the job and the local pipeline are " + ("equal" if equal else "DIFFERENT"))
    return 0 if equal and set(nodes) == set(clusters.NODES) else 1


def show_pool(cluster: clusters.Cluster, job: str) -> bool:
    """What Nomad says of one of the job's pools, and of one allocation of it; False if there is none yet."""

    def nomad(*words: str) -> str:
        return cluster.scheduler.call(*words, check=False)

    pools = json.loads(nomad("operator", "api", f"/v1/jobs?prefix=remora.{job[:8]}") or "[]")
    for pool in pools:
        running = [a for a in json.loads(nomad("job", "allocs", "-json", pool["ID"]) or "[]")
                   if a["ClientStatus"] == "running"]  # fmt: skip
        if running:
            print(nomad("job", "status", pool["ID"]).strip())
            print(nomad("alloc", "status", "-short", running[0]["ID"]).strip())
            resources = json.loads(nomad("alloc", "status", "-json", running[0]["ID"]))["AllocatedResources"]
            memory = next(iter(resources["Tasks"].values()))["Memory"]["MemoryMB"]
            print(f"allocation {running[0]['ID']}: {memory} MiB of memory, {resources['Shared']['DiskMB']} MB of disk")
            return True
    return False


def counted_here(texts: dict[str, bytes]) -> bytes:
    """The same by the same commands, in one pipeline."""
    with tempfile.TemporaryDirectory() as directory:
        for name, text in texts.items():
            (Path(directory) / name).write_bytes(text)
        environment = {**os.environ, "LC_ALL": "C"}
        return subprocess.run(["bash", "-c", LOCAL], cwd=directory, env=environment, capture_output=True).stdout


if __name__ == "__main__":
    sys.exit(main())
