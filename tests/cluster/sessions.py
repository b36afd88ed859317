"""Interactive sessions on the development cluster: a user at each gateway, and agents that know the first one.

    python -m tests.cluster.sessions [--dir DIR] [--rounds N] [--busy N]

Each round logs in at every gateway by our `mlogin`, by the published one if it can be installed, and by `mjob shell`
beside a task that runs. The program of a session comes to the gateway that its agent reaches, so all but the first
gateway have it passed on. A cluster with one gateway gets a second one for as long as this runs. Meanwhile --busy jobs,
more than the nodes have slots, do not end.

Exit status 0 if every session had its shell and its end, one was passed on, and no record of a session is left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from cli.client.jobs import Jobs
from tests.cluster import cluster as clusters
from tests.cluster import remora
from tests.cluster.client import Records, User
from tests.cluster.machines import end
from tests.conformance.clients import COMMANDS, PINNED, cache, install
from tests.support.eventually import eventually_here
from tests.support.sessions import PROMPT, asked, ended, session
from tests.support.terminal import terminal

SECOND, SECOND_PORT = "gateway-2", 8081
SECONDS = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=clusters.DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, default=12)
    options = parser.parse_args()
    cluster = clusters.load(options.dir.absolute())
    clusters.enter_network(cluster)
    theirs = published()
    with gateways(cluster) as urls, tempfile.TemporaryDirectory() as home, running_task(cluster, options.busy) as task:
        for number in range(options.rounds):
            for url in urls:
                env = profile(cluster, Path(home) / f"{number}-{urls.index(url)}", url)
                ours(env)
                beside(env, *task)
                if theirs is not None:
                    by_published(theirs, env)
                print(f"round {number + 1}: {url} is well", flush=True)
    passed_on = sum(log.read_text(errors="replace").count("a session is passed on") for log in logs(cluster))
    print(f"passed on by a gateway: {passed_on}")
    eventually_here(lambda: not Records().ask("SELECT 1 FROM sessions"), "no record of a session is left", SECONDS)
    return 0 if passed_on else 1


@contextlib.contextmanager
def gateways(cluster: clusters.Cluster) -> Iterator[list[str]]:
    """The URLs of at least two gateways, the first of which agents know."""
    if len(cluster.gateways) > 1:
        yield cluster.gateways
        return
    hub, told = cluster.hub, remora.shared(cluster, SECOND_PORT, cluster.hub)
    hub.start(SECOND, [str(remora.BIN / "remora"), "gateway"], told)
    url = f"https://{hub.address}:{SECOND_PORT}"
    try:
        remora.wait_for(cluster, url, hub, SECOND)
        yield [*cluster.gateways, url]
    finally:
        if (pid := hub.pid_of(SECOND)) is not None:
            end(pid)


@contextlib.contextmanager
def running_task(cluster: clusters.Cluster, jobs: int) -> Iterator[tuple[str, str]]:
    """So many jobs, each of one task that does not end while the block lasts; the first, and its task, which runs."""
    user = User(cluster)
    user.put(f"{user.home}/stor/sessions", {"o": b"o"})
    document = json.dumps({"phases": [{"exec": "echo begun; sleep 3600", "memory": 256}]}).encode()
    made = [user.submit(document, [f"{user.home}/stor/sessions/o"])]
    try:
        eventually_here(lambda: Records().leased(made[0]), "the task runs", SECONDS)
        (task,) = user.call(lambda client: list(Jobs(client).tasks(made[0], state="running")))
        eventually_here(lambda: began(user, made[0], task["number"]), "it has begun", SECONDS)
        made += [user.submit(document, [f"{user.home}/stor/sessions/o"]) for _ in range(jobs - 1)]
        yield made[0], task["taskId"]
    finally:
        for job in made:
            user.call(lambda client, job=job: Jobs(client).cancel(job))


def began(user: User, job: str, number: int) -> bool:
    return bool(user.call(lambda client: Jobs(client).log(job, number, "stdout", 0, 0)).data)


def profile(cluster: clusters.Cluster, home: Path, url: str) -> SimpleNamespace:
    """The environment of commands at a gateway, with a key that the published client can use, too."""
    home.mkdir()
    known = json.loads((cluster.directory / "client.json").read_text())
    (home / "client.json").write_text(json.dumps(known | {"url": url}))
    env = clusters.environment(cluster) | {"REMORA_STATE_DIR": str(home), "HOME": str(home)}
    return SimpleNamespace(env=env, url=url, home=home, cluster=cluster)


def ours(at: SimpleNamespace) -> None:
    with session(at, "mlogin", "--memory", "256") as running:
        running.read_until(PROMPT)
        assert asked(running, "echo $MANTA_USER; seq 20000 | tail -1") == f"{remora.LOGIN}\n20000\n"
        running.type("exit 5\r")
        assert ended(running)[1] == 5


def beside(at: SimpleNamespace, job: str, task: str) -> None:
    with session(at, "mjob", "shell", job, task) as running:
        assert b"beside the running task" in running.read_until(PROMPT)
        shown = asked(running, "echo $MANTA_JOB_ID; ls -l /proc/[0-9]*/exe 2> /dev/null | grep -c /sleep")
        assert shown == f"{job}\n1\n", shown
        running.type("exit 6\r")
        assert ended(running)[1] == 6


def published() -> Path | None:
    """The published client's commands, or None with a line that says why not."""
    place = cache(*PINNED)
    try:
        install(place)
    except pytest.skip.Exception as why:
        print(f"THE PUBLISHED CLIENT IS LEFT OUT: {why}")
        return None
    return place / COMMANDS


def by_published(commands: Path, at: SimpleNamespace) -> None:
    env = at.env | {
        "MANTA_URL": at.url,
        "MANTA_USER": remora.LOGIN,
        "MANTA_KEY_ID": rsa_key(at),
        "NODE_EXTRA_CA_CERTS": str(at.cluster.authority / "ca.pem"),
        "TERM": "xterm",
    }
    env.pop("SSH_AUTH_SOCK", None)
    with terminal([str(commands / "mlogin"), "--memory=256"], env, Path("/")) as running:
        running.resize(columns=90, lines=30)
        running.read_until(f"{remora.LOGIN}@manta # ".encode())
        running.type("echo $((6 * 7)) $MANTA_USER\r")
        assert f"42 {remora.LOGIN}\r".encode() in running.read_until(PROMPT)
        running.type("exit\r")
        assert ended(running)[1] == 0


def rsa_key(at: SimpleNamespace) -> str:
    """An RSA key in the client's home, which the account gets; its MD5 fingerprint."""
    key = at.home / ".ssh" / "id_rsa"
    key.parent.mkdir(mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", str(key)], check=True)
    told = remora.with_database(at.cluster)
    at.cluster.hub.call(str(remora.BIN / "remora"), "key", "add", remora.LOGIN, f"{key}.pub", env=told)
    listed = subprocess.run(["ssh-keygen", "-l", "-E", "md5", "-f", f"{key}.pub"], capture_output=True, check=True)
    return listed.stdout.decode().split()[1].removeprefix("MD5:")


def logs(cluster: clusters.Cluster) -> list[Path]:
    """What gateways have written, also those that Nomad has started."""
    return [
        Path(at) / name for at, _, names in os.walk(cluster.directory) for name in names if name.startswith("gateway")
    ]


if __name__ == "__main__":
    sys.exit(main())
