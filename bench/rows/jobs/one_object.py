"""The latency of the smallest job: one object through `wc`, on a warm service.

It includes all that a client does: create the job, add one input and end the input, wait, list the
outputs, read the one. It does not include the start-up of a command (see `cold_start`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.measure import Bar, Line, interleave, seconds
from bench.setting import Setting, described
from cli.client.jobs import Jobs

SCRIPT = "wc"
DOCUMENT = json.dumps({"name": "bench one", "phases": [{"exec": SCRIPT}]}).encode()
TEXT = b"one line of text\n" * 100


def lines(setting: Setting) -> Iterator[Line]:
    jobs = Jobs(setting.session)
    path = f"{setting.home}/one"
    jobs.session.call("PUT", path, body=TEXT)
    for _ in range(3):
        run(jobs, path)
    (ours,) = interleave(setting.size(21, 5), lambda: 1000 * seconds(lambda: run(jobs, path)))
    yield Line(f"one-object job, {described(SCRIPT)}, warm", "ms", ours, Bar(60, 20, absolute=True, at_most=True))


def run(jobs: Jobs, path: str) -> None:
    """Run a job, from its creation to the bytes of its output."""
    job = jobs.create(DOCUMENT)
    plain = {"content-type": "text/plain"}
    jobs.session.call("POST", jobs.live(job, "in"), query={"end": "true"}, headers=plain, body=path.encode())
    while jobs.status(job, wait=20)["state"] != "done":
        pass
    (output,) = jobs.records(job, "out")
    counted = jobs.session.call("GET", output.decode()).content
    if counted.split() != [b"100", b"400", b"%d" % len(TEXT)]:
        raise RuntimeError(f"wc of the object is wrong: {counted!r}")
