"""Faults in the middle of jobs, on the development cluster: outputs must be exactly those of an undisturbed run.

    python -m tests.cluster.faults [--dir DIR] [--rounds 10] [--only KIND,...] [--seed N] [--json]

Each round runs one job of three phases (two maps, and reducers that get lines by key), waits until it
is under way, and brings about one fault once a random part of its tasks is finished. Then two things are
measured where they apply: until another supervisor owns the job, and until the tasks that the lost
agent held run again, or are over. At last the job must be done without an error, with the bytes that
it has when nobody disturbs it, and the cluster is made whole again for the next round.

    agent           kill -9 an agent
    supervisor      kill -9 the supervisor that owns the job
    database        restart PostgreSQL
    cut-5 cut-60    a node's cable is out for so many seconds
    cut             it stays out until the job is done
    client server   kill -9 a Nomad client, the Nomad server (not on a bare cluster); both come back after a while

Exit status 0 if every round held. The seed is printed, so that a failure can be repeated.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cluster import cluster as clusters
from tests.cluster import database, remora
from tests.cluster.client import Records, Row, User, machine_of, metric, samples
from tests.cluster.machines import HUB, Machine, cut, kill, mend, wait_until

TASKS = 60
SECONDS = 0.3  # that each map task takes
REDUCERS = 2
PHASES = [
    {"exec": f'sleep {SECONDS}; cat; echo "$MANTA_INPUT_OBJECT"'},
    {"exec": f"sleep {SECONDS}; msplit -n {REDUCERS}"},
    {"exec": "sort", "type": "reduce", "count": REDUCERS},
]
JOB_SECONDS = 300.0
WHOLE_SECONDS = 120.0
RECOVERY_SECONDS = 90.0
# As an operator's service manager does.
BACK_SECONDS = 3.0
# Jobs of Nomad's. What runs of them on a node that was cut off ends when the node is back, and runs anew.
PARTS = ("remora-supervisor", "remora-gateway", "remora-agent")
# The bars, in seconds.
OWNED_BAR, ELSEWHERE_BAR = 10.0, 15.0


@dataclass
class Round:
    """What one round came to; times in seconds, None where there is nothing to measure."""

    fault: str
    victim: str
    after: float = 0.0
    owned: float | None = None
    elsewhere: float | None = None
    held: int = 0  # tasks that the victim held
    done: float = 0.0
    wrong: str = ""


@dataclass
class Arena:
    """The cluster, and one job at a time on it."""

    cluster: clusters.Cluster
    draw: random.Random
    user: User = field(init=False)
    records: Records = field(default_factory=Records)
    inputs: list[str] = field(default_factory=list)
    expected: list[bytes] = field(default_factory=list)
    undisturbed: float = 0.0

    def __post_init__(self) -> None:
        self.user = User(self.cluster)

    def prepare(self) -> None:
        """Store the inputs, and learn what comes of them when nobody disturbs."""
        directory = f"{self.user.home}/stor/faults"
        contents = {f"o{n:03}": "".join(f"line {n * 7 + k}\n" for k in range(20)).encode() for n in range(TASKS)}
        self.user.put(directory, contents)
        self.inputs = [f"{directory}/{name}" for name in contents]
        began = time.monotonic()
        job = self.submit()
        self.user.finish(job, JOB_SECONDS)
        self.undisturbed = time.monotonic() - began
        self.expected = self.user.results(job)
        lines = sorted(line for part in self.expected for line in part.splitlines(keepends=True))
        told = [f"{name}\n".encode() for name in self.inputs]
        assert lines == sorted([*b"".join(contents.values()).splitlines(keepends=True), *told]), "wrong, undisturbed"

    def submit(self) -> str:
        return self.user.submit(json.dumps({"phases": PHASES}).encode(), self.inputs)

    def under_way(self, job: str) -> None:
        assert wait_until(lambda: self.records.leased(job), 60), f"no task of {job} was ever leased"
        assert wait_until(lambda: self.records.owner(job), 10), f"nobody owns {job}"

    def check(self, job: str) -> str:
        """What is wrong with a job that should be right by now; empty if nothing is."""
        try:
            status = self.user.finish(job, JOB_SECONDS)
        except AssertionError as hangs:
            return str(hangs)
        if status["stats"]["errors"]:
            return f"errors: {self.user.first_error(job)}"
        if self.user.results(job) != self.expected:
            return "outputs differ"
        return ""

    def machine_that_holds(self, job: str) -> Machine:
        """A node whose agent has tasks of the job, any."""
        return self.cluster.machines[self.draw.choice(sorted({task["node"] for task in self.records.leased(job)}))]

    def whole(self) -> None:
        """Wait until everything is there again. Raises AssertionError."""
        for machine in self.cluster.nodes:
            mend(self.cluster.hub, machine)
        assert wait_until(self.is_whole, WHOLE_SECONDS, 0.3), f"the cluster is not whole again: {self.missing()}"

    def is_whole(self) -> bool:
        return not self.missing()

    def missing(self) -> str:
        if len(supervisors := self.records.supervisors()) < 2:
            return f"supervisors: {supervisors}"
        if any(len(nodes) < len(clusters.NODES) for nodes in samples(self.cluster, "remora_node_slots")):
            return "agents"
        for machine in self.cluster.nodes:
            if not machine.pids("bin/remora agent"):
                return f"the agent of {machine.name}"
        if self.cluster.nomad and self.cluster.scheduler.ready_nodes() != list(clusters.NODES):
            return "nodes of Nomad's"
        if self.cluster.nomad and (ending := self.cluster.scheduler.ending(PARTS)):
            return f"the end of {ending}"
        return ""


# Each fault: bring it about on a job that is under way, measure, and say how it goes on. What must be done once the job
# is over is returned.
After = Callable[[], None]


def nothing() -> None:
    pass


def kill_agent(arena: Arena, job: str, found: Round) -> After:
    node = arena.machine_that_holds(job)
    held = [task for task in arena.records.leased(job) if task["node"] == node.name]
    found.victim, found.held = node.name, len(held)
    for pid in node.pids("bin/remora agent"):
        kill(pid)
    struck = time.monotonic()
    if not arena.cluster.nomad:
        wait_until(lambda: time.monotonic() - struck > BACK_SECONDS, BACK_SECONDS + 1)
        remora.start_agent(arena.cluster, node)
    found.elsewhere = measure(lambda: arena.records.gone_on(held), struck)
    return nothing


def kill_supervisor(arena: Arena, job: str, found: Round) -> After:
    owner = arena.records.owner(job)
    assert owner is not None
    machine = machine_of(arena.cluster, owner["url"])
    pids = [machine.pid_of(name_of(owner))] if machine.name == HUB else machine.pids("bin/remora supervisor")
    found.victim = f"{machine.name}, {owner['id']}"
    for pid in filter(None, pids):
        kill(pid)
    struck = time.monotonic()
    found.owned = measure(lambda: (arena.records.owner(job) or owner)["id"] != owner["id"], struck)
    if not arena.cluster.nomad:
        remora.start_supervisor(arena.cluster, name_of(owner))
    return nothing


def name_of(supervisor: Row) -> str:
    """Of a bare cluster's supervisor, by its port."""
    return remora.SUPERVISORS[int(supervisor["url"].rpartition(":")[2]) - remora.SUPERVISOR_PORT]


def restart_database(arena: Arena, job: str, found: Round) -> After:
    found.victim = HUB
    database.restart_database(arena.cluster.hub, arena.cluster.local)
    return nothing


def cut_cable(seconds: float | None) -> Callable[[Arena, str, Round], After]:
    """A partition of one node; None: until the job is done."""

    def fault(arena: Arena, job: str, found: Round) -> After:
        node = arena.machine_that_holds(job)
        held = [task for task in arena.records.leased(job) if task["node"] == node.name]
        found.victim, found.held = node.name, len(held)
        arena.user.avoid = node.address
        owner = arena.records.owner(job)
        cut(arena.cluster.hub, node)
        struck = time.monotonic()
        if seconds is not None and seconds < ELSEWHERE_BAR:
            wait_until(lambda: time.monotonic() - struck > seconds, seconds + 1)
            mend(arena.cluster.hub, node)
            return nothing
        if owner and machine_of(arena.cluster, owner["url"]) is node:
            found.owned = measure(lambda: (arena.records.owner(job) or owner)["id"] != owner["id"], struck)
        found.elsewhere = measure(lambda: arena.records.gone_on(held), struck)
        if seconds is None:
            return nothing
        rest = struck + seconds
        return lambda: heal(arena, node, rest)

    return fault


def heal(arena: Arena, node: Machine, instant: float) -> None:
    wait_until(lambda: time.monotonic() > instant, max(0.0, instant - time.monotonic()) + 1)
    mend(arena.cluster.hub, node)


def kill_client(arena: Arena, job: str, found: Round) -> After:
    node = arena.machine_that_holds(job)
    found.victim = node.name
    kill_nomad(arena, node)
    return nothing


def kill_server(arena: Arena, job: str, found: Round) -> After:
    found.victim = HUB
    kill_nomad(arena, arena.cluster.hub)
    return nothing


def kill_nomad(arena: Arena, machine: Machine) -> None:
    """What it had started goes on; it comes back on the same data."""
    for pid in machine.pids("nomad agent -config"):
        kill(pid)
    struck = time.monotonic()
    wait_until(lambda: time.monotonic() - struck > BACK_SECONDS, BACK_SECONDS + 1)
    arena.cluster.scheduler.start(machine)


FAULTS: dict[str, Callable[[Arena, str, Round], After]] = {
    "agent": kill_agent,
    "supervisor": kill_supervisor,
    "database": restart_database,
    "cut-5": cut_cable(5),
    "cut-60": cut_cable(60),
    "cut": cut_cable(None),
    "client": kill_client,
    "server": kill_server,
}
OF_NOMAD = ("client", "server")


def measure(true: Callable[[], object], since: float) -> float | None:
    """Seconds from `since` until it is true; None if it never is."""
    if not wait_until(true, RECOVERY_SECONDS):
        return None
    return time.monotonic() - since


def run_round(arena: Arena, fault: str) -> Round:
    found = Round(fault, "")
    arena.user.avoid = ""
    began = time.monotonic()
    job = arena.submit()
    arena.under_way(job)
    instant = arena.draw.random() * 0.6 * 2 * TASKS
    wait_until(lambda: arena.records.finished(job) >= instant and arena.records.leased(job), JOB_SECONDS)
    found.after = time.monotonic() - began
    after = FAULTS[fault](arena, job, found)
    found.wrong = arena.check(job)
    found.done = time.monotonic() - began
    after()
    arena.whole()
    arena.user.avoid = ""
    if not found.wrong and arena.user.results(job) != arena.expected:
        found.wrong = "outputs changed after the job was done"
    return found


def over_the_bar(found: Round) -> str:
    if found.fault == "supervisor" and (found.owned is None or found.owned > OWNED_BAR):
        return f"owned only after {found.owned} s"
    if found.fault in ("agent", "cut-60", "cut") and (found.elsewhere is None or found.elsewhere > ELSEWHERE_BAR):
        return f"its tasks run elsewhere only after {found.elsewhere} s"
    return ""


def table(rounds: Sequence[Round]) -> str:
    """A line for each kind of fault: medians and worst."""
    lines = [
        "| fault | rounds | right | owned by another, s | its tasks elsewhere, s | job done, s |",
        "|---|---|---|---|---|---|",
    ]
    for fault in dict.fromkeys(found.fault for found in rounds):
        mine = [found for found in rounds if found.fault == fault]
        right = sum(not found.wrong for found in mine)
        times = (told([getattr(found, name) for found in mine]) for name in ("owned", "elsewhere", "done"))
        lines.append(f"| {fault} | {len(mine)} | {right} | {' | '.join(times)} |")
    return "\n".join(lines)


def told(times: Sequence[float | None]) -> str:
    known = [seconds for seconds in times if seconds is not None]
    return f"{statistics.median(known):.1f} (at most {max(known):.1f})" if known else "–"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=clusters.DEFAULT)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", default=",".join(FAULTS), help="kinds of faults, a comma list")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--json", action="store_true", help="a JSON object for each round, too")
    options = parser.parse_args()
    kinds = options.only.split(",")
    if unknown := set(kinds) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    cluster = clusters.load(options.dir.absolute())
    clusters.enter_network(cluster)
    print(f"seed {options.seed}", flush=True)
    arena = Arena(cluster, random.Random(options.seed))
    arena.whole()
    arena.prepare()
    print(f"undisturbed: {arena.undisturbed:.1f} s", flush=True)
    rounds = []
    for kind in [kind for kind in kinds if cluster.nomad or kind not in OF_NOMAD]:
        for _ in range(options.rounds):
            rounds.append(run_round(arena, kind))
            rounds[-1].wrong = rounds[-1].wrong or over_the_bar(rounds[-1])
            print(json.dumps(asdict(rounds[-1])) if options.json else rounds[-1], flush=True)
    print(table(rounds))
    print(f"map tasks on intermediates: {metric(cluster, 'remora_map_tasks_placed_total')}")
    return 1 if any(found.wrong for found in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
