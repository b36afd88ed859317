"""What hostile tasks, and other users of the machine, can get at: nothing that is not theirs.

The state directory lies beside these tests and not among temporary files, which instances have
of their own: so a task that finds nothing there finds nothing because it is hidden.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.machine import OWN_LOOPBACK, needs_curl, needs_namespaces
from tests.support.nodes.containers import doors
from tests.support.services.objects import client
from tests.support.services.service import Service, agents_below, descendants, serving
from tests.support.services.user import User

SECRETS = (
    *("remora.db", "agent.secret", "agent.credential", "token.secret"),
    *("client.json", "service.json", "keys/id_ed25519", "lock"),
)
STRANGER = 65534  # `nobody`, on every Linux
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[3], prefix=".isolation-") as directory:
        os.chmod(directory, 0o755)  # what protects the state is to be its own mode
        with serving(Path(directory) / "state") as running:
            yield running


@pytest.fixture(scope="module")
def user(service: Service) -> Iterator[User]:
    with client(service) as session:
        yield User(session)


@pytest.fixture(scope="module")
def item(user: User) -> str:
    return user.put("item", b"item\n")


# Everywhere but where every machine has thousands of files.
FIND = r"find / -xdev \( -path /usr -o -path /proc -o -path /sys \) -prune -o"


def said_in_a_task(user: User, item: str, script: str) -> str:
    """What a script prints in a task, whatever its parts end with."""
    ended = user.run(f"{{ {script}\n}} 2>&1; exit 0", inputs=[item])
    assert ended.errors == []
    return user.texts(ended)[0]


# Files.


@needs_namespaces
def test_the_state_directory_is_not_there_for_a_task(service: Service, user: User, item: str) -> None:
    files = " ".join(f"'{service.state_dir}/{name}'" for name in (*SECRETS, "blobs", "instances"))
    said = said_in_a_task(
        user, item, f"ls -A '{service.state_dir}'; for f in {files}; do head -c 99 $f && echo FOUND; done"
    )
    assert "FOUND" not in said
    assert said.count("No such file or directory") >= len(SECRETS)


@needs_namespaces
def test_no_way_around_leads_to_the_state_directory(service: Service, user: User, item: str) -> None:
    state = service.state_dir
    script = f"""
        for root in /proc/*/root /proc/*/cwd /proc/self/fd/*/.. /dev/fd/0/..; do ls -A $root{state}; done
        {FIND} \\( -name agent.secret -o -name token.secret -o -name remora.db \\) -print
        find /proc/[0-9]*/fd /proc/[0-9]*/task -maxdepth 3 -lname '*remora.db*'
        umount '{state}'; umount -l '{state}'; ls -A '{state}'
        unshare -Urm sh -c "umount '{state}'; ls -A '{state}'"
        nsenter -t 1 -m ls -A '{state}'
        mkdir /tmp/seen && mount --bind '{state.parent}' /tmp/seen && ls -A /tmp/seen/state
        debugfs -R 'ls {state}' $(df '{state.parent}' | awk 'NR==2 {{print $1}}')
        python3 -c "import os; os.open_by_handle_at" ; chroot /proc/1/root ls -A '{state}'
    """
    said = said_in_a_task(user, item, script)
    for name in ("agent.secret", "token.secret", "remora.db", "id_ed25519"):
        assert name not in said


@needs_namespaces
def test_what_is_behind_the_input_is_no_way_to_other_blobs(service: Service, user: User, item: str) -> None:
    other = user.put("other", b"the secret of another\n")
    blob = user.session.call("HEAD", other).headers["etag"]
    script = f"""
        readlink /proc/self/fd/0
        cd $(dirname "$(readlink /proc/self/fd/0)") && ls -A && cat {blob}
        {FIND} -name '{blob}*' -exec cat {{}} + -print
        ls -lAR /manta
    """
    said = said_in_a_task(user, item, script)
    assert "the secret of another" not in said
    assert [line for line in said.splitlines() if blob in line] == [f"cat: {blob}: No such file or directory"]


@needs_namespaces
def test_an_instance_sees_no_other_instances_files_nor_socket(service: Service, user: User, item: str) -> None:
    with Gate() as gate:
        job = user.create(f"echo private > /tmp/neighbours; echo private > /root/neighbours; {gate.wait()}")
        user.add(job, item)
        gate.arrivals(1)
        script = f"""
            cat /tmp/neighbours /root/neighbours /var/tmp/neighbours 2> /dev/null
            {FIND} -name neighbours -print 2> /dev/null
            {FIND} -type s -name '*.sock' -print 2> /dev/null
            ls -A '{service.state_dir}/instances' 2> /dev/null
        """
        said = said_in_a_task(user, item, script)
    assert user.finish(job).errors == []
    assert said.splitlines() in ([], ["/.remora/agent.sock"])


@needs_namespaces
def test_tasks_of_different_jobs_leave_nothing_for_each_other(user: User, item: str) -> None:
    leave = "for d in /tmp /root /var/tmp /run /home /mnt /media /assets /dev/shm; do echo x > $d/left; done; true"
    user.run(leave, inputs=[item] * 8)
    assert said_in_a_task(user, item, f"{FIND} -name left -print 2> /dev/null; ls /dev/shm") == ""


# Processes.


@needs_namespaces
def test_a_task_sees_and_reaches_no_process_but_its_own(service: Service, user: User, item: str) -> None:
    assert service.process is not None
    outside = [service.process.pid, *agents_below(service.process.pid)]
    with Gate() as gate:
        job = user.create(f"exec -a neighbour bash -c '{gate.wait()}'")
        user.add(job, item)
        gate.arrivals(1)
        script = f"""
            ls -d /proc/[0-9]* | wc -l
            cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo
            for pid in {" ".join(map(str, outside))}; do
                kill -9 $pid && echo KILLED; ls /proc/$pid/fd && echo SEEN
            done
        """
        said = said_in_a_task(user, item, script)
        everybody = user.run("trap '' TERM; kill -TERM -1; (kill -9 -1); sleep 1000", inputs=[item])
        assert everybody.error["message"] == "user command terminated by SIGKILL"
        assert int(said.splitlines()[0]) <= 4
        assert "neighbour" not in said and "scheduler.agent" not in said
        assert not {"KILLED", "SEEN"} & set(said.splitlines())
    assert user.finish(job).errors == []
    assert service.process.poll() is None


@needs_namespaces
def test_a_task_that_kills_its_lackey_harms_itself_only(user: User, item: str) -> None:
    ended = user.run("kill -9 1; kill -STOP 1; kill -TERM $PPID; echo alive", inputs=[item])
    assert (user.texts(ended), ended.stats["retries"]) == (["alive\n"], 0)


# The network.


@needs_curl
def test_the_service_itself_knows_no_task_without_its_door(service: Service, user: User, item: str) -> None:
    urls = (f"{user.login}/stor/item", f"{user.login}/jobs?state=live", "_agent/v1/register")
    script = "".join(f"curl -s -o /dev/null -w '%{{http_code}}\\n' {service.url}/{url};" for url in urls)
    answers = said_in_a_task(user, item, script).split()
    assert answers == ["000" if OWN_LOOPBACK else "403"] * 3  # who has a loopback of its own does not even reach it


# Other users of the machine.


def as_stranger(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who owns nothing."""
    return subprocess.run(command, capture_output=True, text=True, user=STRANGER, group=STRANGER, extra_groups=[])


@needs_root
def test_a_stranger_reads_nothing_of_the_state(service: Service) -> None:
    state = service.state_dir
    if as_stranger("ls", str(state.parent)).returncode:
        pytest.skip("strangers do not even get to where these tests are")
    for path in (state, *(state / name for name in SECRETS), state / "blobs", state / "instances"):
        done = as_stranger("bash", "-c", f"ls '{path}' || cat '{path}'")
        assert done.returncode != 0 and "Permission denied" in done.stderr, path
        assert done.stdout == ""


@needs_root
def test_a_stranger_reads_nothing_of_the_service_s_processes(service: Service) -> None:
    assert service.process is not None
    secret = (service.state_dir / "agent.secret").read_text()
    for pid in [service.process.pid, *descendants(service.process.pid)]:
        done = as_stranger("bash", "-c", f"cat /proc/{pid}/cmdline /proc/{pid}/environ; ls -l /proc/{pid}/fd")
        assert secret not in done.stdout
        assert "Permission denied" in done.stderr


@needs_root
@needs_curl
def test_a_stranger_asks_in_vain(service: Service, user: User, item: str) -> None:
    requests = [
        ("-X", "GET", f"/{user.login}/stor/item"),
        ("-X", "GET", f"/{user.login}/stor"),
        ("-X", "DELETE", f"/{user.login}/stor/item"),
        ("-T", "/etc/hostname", f"/{user.login}/stor/new"),
        ("-X", "POST", f"/{user.login}/jobs"),
        ("-X", "GET", f"/{user.login}/jobs?state=live"),
        ("-X", "POST", f"/{user.login}/tokens"),
        ("-X", "POST", "/_agent/v1/register"),
        ("-X", "POST", "/_agent/v1/poll"),
    ]
    for how, what, path in requests:
        done = as_stranger("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", how, what, service.url + path)
        assert done.stdout == "403", path
    assert user.get(item) == b"item\n" and not user.exists("new")


@needs_root
@needs_curl
def test_a_stranger_does_not_get_in_by_the_door_of_a_task(service: Service, user: User, item: str) -> None:
    with Gate() as gate:
        job = user.create(gate.wait("$MANTA_URL"))
        user.add(job, item)
        (door,) = doors(service.state_dir, gate.arrivals(1))
        done = as_stranger("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{door}{user.login}/stor/item")
        assert done.stdout == "000"  # hung up on
    assert user.finish(job).errors == []
