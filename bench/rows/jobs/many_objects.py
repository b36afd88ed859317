"""The cost of a task: thousands of small objects through `wc`, one task each.

The script is plain, so that its program runs without bash; another line is for one that needs bash for the same. The
peer is two loops in C, one a processor, that fork and run `bash -c wc` on the
same bytes and do nothing else (`peers/forkloop.c`). The other peers are GNU parallel and HyperQueue, which a user
would otherwise use; they get fewer files, and rates are compared.

Remora's time is taken from the service's own clock, from the job's creation to its end, so that it does not
depend on how often a client polls. In between the service has resolved every name, isolated, captured,
hashed, made durable and recorded every output. One line is the cost of that
beside the tasks themselves: CPU time of the service and of the agent, in user and kernel.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Bar, Line, interleave, seconds
from bench.peers import compiled, gnu_parallel, hyperqueue, missing
from bench.setting import PLAIN, Setting, described, lifetime, run_job, words
from cli.client.jobs import Jobs
from tests.support.services.objects import put_many

SCRIPT = "wc"
SHELL_SCRIPT = 'wc "$@"'  # without arguments the same
LOOPS = 2
BYTES = 1000


def lines(setting: Setting) -> Iterator[Line]:
    with ExitStack() as stack:
        queue = None
        if hyperqueue.is_installed():
            queue = stack.enter_context(hyperqueue.cluster(setting.directory("many-hyperqueue")))
        yield from measured(setting, queue)


def measured(setting: Setting, queue: hyperqueue.Run | None) -> Iterator[Line]:
    """The lines; `queue` runs a script in HyperQueue, if that is installed."""
    count = setting.size(10_000, 500)
    files, objects = prepare(setting, count)
    few = files[: setting.size(1000, 100)]
    parallel = gnu_parallel()
    results = setting.directory("many-results")
    forkloop = compiled("forkloop", setting.scratch)
    costs: list[float] = []

    def ours() -> float:
        rate, cpu_ms = one_job(setting, objects)
        costs.append(cpu_ms)
        return rate

    def with_bash() -> float:
        return one_job(setting, objects, SHELL_SCRIPT)[0]

    def loops() -> float:
        return count / seconds(lambda: run_loops(forkloop, results, files))

    def with_parallel() -> float:
        return len(few) / seconds(lambda: run_parallel(parallel, results, few)) if parallel else 0.0

    def with_queue() -> float:
        some = files[: setting.size(3000, 100)]
        return len(some) / seconds(lambda: queue(SCRIPT, results, some)) if queue else 0.0

    one_job(setting, objects[:100])  # a first job warms the service up
    job, shell_job, floor, other, queued = interleave(setting.rounds, ours, with_bash, loops, with_parallel, with_queue)
    what = f"{count:,} objects through {described(SCRIPT)}"
    yield Line(what, "tasks/s", job, Bar(0.8, 1.2), "2 C fork loops of bash", floor)
    with_shell = f"{count:,} objects through {described(SHELL_SCRIPT)}"
    yield Line(with_shell, "tasks/s", shell_job, Bar(0.6, 0.85), "2 C fork loops of bash", floor)
    yield Line(f"{what}, CPU beside the tasks", "ms/task", costs, Bar(0.8, 0.25, absolute=True, at_most=True))
    if queue is not None:
        yield Line(what, "tasks/s", job, Bar(1.0, 2.5), f"HyperQueue, {hyperqueue.CORES} cores", queued)
    if parallel is None:
        raise missing("GNU parallel")
    yield Line(what, "tasks/s", job, Bar(1.0, 3.0), "parallel -j2", other)


def prepare(setting: Setting, count: int) -> tuple[list[str], list[str]]:
    """Store the same texts as local files and as objects; returns the paths of both."""
    local = setting.directory("many")
    remote = f"{setting.home}/many"
    setting.session.call("PUT", remote, headers={"content-type": "application/json; type=directory"})
    texts = {f"{n:05}": words(BYTES, seed=n % 50) for n in range(count)}
    for name, text in texts.items():
        (local / name).write_bytes(text)
    put_many(setting.session, {f"{remote}/{name}": text for name, text in texts.items()})
    return [str(local / name) for name in texts], [f"{remote}/{name}" for name in texts]


def one_job(setting: Setting, objects: list[str], script: str = SCRIPT) -> tuple[float, float]:
    """Tasks a second, and CPU milliseconds a task of service and agent, archiving included."""
    jobs = Jobs(setting.session)
    document = json.dumps({"name": "bench many", "phases": [{"exec": script}]}).encode()
    before = setting.cpu()
    job, status = run_job(jobs, document, objects)
    jobs.wait_archived(job)
    used = setting.cpu() - before
    if status["stats"]["outputs"] != len(objects):
        raise RuntimeError(f"the job has {status['stats']['outputs']} outputs, not {len(objects)}")
    return len(objects) / lifetime(status), 1000 * used / len(objects)


def run_loops(program: str, directory: Path, files: list[str]) -> None:
    loops = [subprocess.Popen([program, directory, SCRIPT, *files[at::LOOPS]], env=PLAIN) for at in range(LOOPS)]
    statuses = [loop.wait() for loop in loops]
    if any(statuses):
        raise RuntimeError("a fork loop failed")


def run_parallel(program: str, directory: Path, files: list[str]) -> None:
    command = [program, "--will-cite", f"-j{LOOPS}", f"{SCRIPT} < {{}} > {directory}/{{/}}"]
    subprocess.run(command, input="\n".join(files), text=True, check=True, env=PLAIN)
