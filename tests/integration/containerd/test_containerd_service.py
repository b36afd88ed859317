"""A service whose instances are containers: what it says, what it survives, what it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.client.problem import Refused
from tests.support.gate import Gate
from tests.support.leftovers import assert_nothing_left
from tests.support.nodes.containers import CONTAINERD, VICTIMS, assert_no_container_left, busy_lackeys, needs_containers
from tests.support.services.objects import client
from tests.support.services.service import Service
from tests.support.services.user import User, reduce

pytestmark = needs_containers


def small_root(root: Path, *programs: str) -> Path:
    """A root with programs, and what they are linked with, at the places that they have on this machine."""
    for program in programs:
        needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for path in (program, *re.findall(r"(/\S+) \(0x", needed)):
            (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / path[1:])
    return root


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service") / "state", ("--provider", CONTAINERD)).start()
    yield service
    assert service.stop() == 0
    assert_nothing_left(service.state_dir)
    assert_no_container_left(service.state_dir)


def test_a_job_of_two_phases_runs_in_containers(service: Service) -> None:
    with client(service) as session:
        user = User(session)
        names = [user.put(name, f"{name}\n".encode()) for name in ("a", "b", "c")]
        ended = user.run("cat; cat /proc/1/comm", reduce("sort | uniq -c"), inputs=names)
        assert ended.errors == []
        assert [line.split() for line in user.texts(ended)[0].splitlines()] == [
            ["1", "a"],
            ["1", "b"],
            ["1", "c"],
            ["3", "lackey"],
        ]


def test_the_commands_are_there_in_a_container(service: Service) -> None:
    with client(service) as session:
        user = User(session)
        ended = user.run("mls ~~/stor | grep ^seen; mls ~~/stor | grep ^seen | mpipe", inputs=[user.put("seen", b"")])
        assert ended.errors == []
        assert user.texts(ended) == ["seen\n"]


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_job_ends_right_whoever_is_killed(service: Service, victim: str) -> None:
    with client(service) as session, Gate() as gate:
        user = User(session)
        job = user.create(f"cat; {gate.wait()}")
        user.add(job, user.put("once", b"once\n"))
        gate.arrivals(1)
        killed = VICTIMS[victim](service.state_dir)
        assert killed
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):  # one that was idle may have been ended
                os.kill(pid, signal.SIGKILL)
        if victim != "containerd":  # without it containers go on
            gate.arrivals(1)
        gate.open()
        ended = user.finish(job)
        assert (ended.errors, user.texts(ended)) == ([], ["once\n"])


def test_instances_outlive_an_agent_that_is_killed(service: Service) -> None:
    """The second half of the job finds what the first half left, in the same container."""
    with client(service) as session, Gate() as gate:
        user = User(session)
        job = user.create({"exec": f"cat /inits; {gate.wait()}", "init": "echo initialized >> /inits"})
        user.add(job, user.put("once", b""))
        gate.arrivals(1)
        before = busy_lackeys(service.state_dir)
        for pid in VICTIMS["agent"](service.state_dir):
            os.kill(pid, signal.SIGKILL)
        gate.open()
        gate.arrivals(1)
        assert busy_lackeys(service.state_dir) == before
        gate.open()
        user.jobs.end_input(job)
        ended = user.ended(job)
        assert (ended.errors, user.texts(ended)) == ([], ["initialized\n"])


def test_an_image_is_chosen_by_its_version(service: Service, tmp_path: Path) -> None:
    root = small_root(tmp_path / "root", "/bin/bash", "/bin/cat")
    (root / "etc").mkdir()
    (root / "etc" / "motto").write_text("an image of ours\n")
    service.run("remora", "image", "import", str(root), "17.0.0")
    try:
        with client(service) as session:
            user = User(session)
            phase = {"exec": "cat /etc/motto; (echo x > /etc/new) && cat /etc/new", "image": "^17"}
            ended = user.run(phase, inputs=[user.put("any", b"")])
            assert (ended.errors, user.texts(ended)) == ([], ["an image of ours\nx\n"])
        assert not (root / "etc" / "new").exists()
        listed = [json.loads(line) for line in service.text("remora", "image", "ls", "--json").splitlines()]
        assert [image["versions"] for image in listed] == [["17.0.0"]]
    finally:
        service.run("remora", "image", "rm", "17.0.0")


EVERY_TOOL = """
mput -qf "$MANTA_INPUT_FILE" ~~/stor/from-bash
[[ $(mls ~~/stor) == *from-bash* ]]
[[ $(mget -q ~~/stor/from-bash) == "only bash" ]]
echo teed | mtee ~~/stor/teed > /dev/null
mmkdir ~~/stor/made; mln ~~/stor/teed ~~/stor/made/linked; mfind ~~/stor/made; mmd5 ~~/stor/teed
minfo ~~/stor/teed; mchattr -H 'm-color: red' ~~/stor/teed; mrm -r ~~/stor/made; mjob list
for command in /.remora/bin/*; do "$command" --help; done
mcat ~~/stor/from-bash
echo piped | mpipe
echo split | msplit -n 1 -e line
"""


def test_an_image_with_bash_and_nothing_else_has_every_tool(service: Service, tmp_path: Path) -> None:
    root = small_root(tmp_path / "root", "/bin/bash")
    service.run("remora", "image", "import", str(root), "18.0.0")
    try:
        with client(service) as session:
            user = User(session)
            phase = {"exec": f"set -exo pipefail; {{ {EVERY_TOOL} }} > /log", "image": "^18"}
            ended = user.run(phase, inputs=[user.put("any", b"only bash")])
            assert ended.errors == [], [
                user.session.call("GET", error["stderr"]).text.split("\n+ ")[-1][:600] for error in ended.errors
            ]
            assert sorted(user.texts(ended)) == ["only bash", "piped\n", "split\n"]
    finally:
        service.run("remora", "image", "rm", "18.0.0")


def test_the_shell_of_a_task_is_where_its_image_has_bash(service: Service, tmp_path: Path) -> None:
    root = small_root(tmp_path / "root", "/bin/bash", "/usr/bin/printenv")
    (root / "usr" / "local" / "bin").mkdir(parents=True)
    (root / "bin" / "bash").rename(root / "usr" / "local" / "bin" / "bash")
    service.run("remora", "image", "import", str(root), "22.0.0")
    try:
        with client(service) as session:
            user = User(session)
            ended = user.run({"exec": "printenv SHELL", "image": "^22"}, inputs=[user.put("any", b"")])
            assert (ended.errors, user.texts(ended)) == ([], ["/usr/local/bin/bash\n"])
    finally:
        service.run("remora", "image", "rm", "22.0.0")


def test_an_image_that_is_not_there_is_refused_with_the_job(service: Service) -> None:
    with client(service) as session, pytest.raises(Refused, match="image"):
        User(session).create({"exec": "true", "image": ">=90"})


def test_an_image_that_goes_while_a_job_waits_fails_its_tasks(service: Service, tmp_path: Path) -> None:
    root = small_root(tmp_path / "root", "/bin/bash")
    service.run("remora", "image", "import", str(root), "19.0.0")
    with client(service) as session:
        user = User(session)
        job = user.create({"exec": "true", "image": "19.x"})
        service.run("remora", "image", "rm", "19.0.0")
        user.add(job, user.put("any", b""))
        ended = user.finish(job)
    assert [(error["code"], error["message"]) for error in ended.errors] == [
        ("InvalidArgumentError", "failed to dispatch task: requested image is not available")
    ]


def test_of_several_images_in_a_range_the_newest_is_taken(service: Service, tmp_path: Path) -> None:
    versions = ["20.9.0", "20.10.0", "20.2.11", "21.0.0"]
    root = small_root(tmp_path / "root", "/bin/bash")
    for version in versions:
        (root / "version").write_text(f"{version}\n")
        service.run("remora", "image", "import", str(root), version)
    try:
        with client(service) as session:
            user = User(session)
            ended = user.run({"exec": "echo $(</version)", "image": "20"}, inputs=[user.put("any", b"")])
            assert (ended.errors, user.texts(ended)) == ([], ["20.10.0\n"])
    finally:
        service.run("remora", "image", "rm", *versions)


def test_a_service_says_where_its_tasks_run(service: Service) -> None:
    assert json.loads((service.state_dir / "service.json").read_text())["instances"] == "containerd"
