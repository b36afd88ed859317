"""Plain HTTP stays on this machine unless that is said, and what serves TLS is used as before."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from cli.service import agent, gateway, supervisor, up
from tests.support.certificates import Certificates
from tests.support.lines.noise import noise
from tests.support.services.forks import USUAL, run_command
from tests.support.services.service import Service

DATA = noise(5_000_000)
EVERYWHERE = ["0.0.0.0", "", "[::]", "10.0.0.5", "host.example"]
# A service would go on to these, and say that they are not there.
ROLE = ["--database", "postgresql://remora@127.0.0.1:1/remora", "--objects", "/"]
SECRETS = {"REMORA_TOKEN_SECRET": "0123456789abcdef", "REMORA_AGENT_KEY": "fedcba9876543210"}


def said(module: object, *words: str, **environment: str) -> str:
    result = CliRunner().invoke(module.command, words, env={**SECRETS, **environment}, prog_name="remora")
    assert result.exit_code == 1
    return result.output


@pytest.mark.parametrize("host", EVERYWHERE)
@pytest.mark.parametrize("role", [gateway, supervisor])
def test_a_role_does_not_serve_other_machines_plainly(role: object, host: str) -> None:
    told = said(role, *ROLE, "--listen", f"{host}:0")
    assert "is reached from other machines" in told
    assert "say --plain" in told


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5"])
def test_up_does_not_serve_other_machines_plainly(host: str, tmp_path: Path) -> None:
    told = said(up, "--host", host, "--state-dir", str(tmp_path / "state"))
    assert f"--host {host} is reached from other machines" in told
    assert not (tmp_path / "state").exists()


def test_an_agent_neither_serves_nor_asks_other_machines_plainly(tmp_path: Path) -> None:
    words = ["--state-dir", str(tmp_path), "--objects", str(tmp_path), "--node", "n1"]
    here = {"REMORA_AGENT_CREDENTIAL": "n1.x"}
    told = said(
        agent, *words, "--url", "http://127.0.0.1:1", "--listen", "0.0.0.0:0", "--advertise", "http://h", **here
    )
    assert "--listen 0.0.0.0 is reached from other machines" in told
    told = said(agent, *words, "--url", "http://127.0.0.1:1,http://gw:80", "--listen", "127.0.0.1:0", **here)
    assert "--url: http://gw:80 is plain HTTP, which shows others this node's credential" in told


@pytest.mark.parametrize("role", [gateway, supervisor])
def test_what_serves_tls_does_not_advertise_the_opposite(role: object, tmp_path: Path) -> None:
    files = Certificates(tmp_path).issue("n1")
    tls = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key), "--tls-ca", str(files.authority)]
    assert 'so "http://h" has to begin with https://' in said(
        role, *ROLE, *tls, "--listen", ":0", "--advertise", "http://h"
    )


def test_a_supervisor_is_told_whose_certificates_nodes_have(tmp_path: Path) -> None:
    files = Certificates(tmp_path).issue("n1")
    tls = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    assert "--tls-ca is missing" in said(supervisor, *ROLE, *tls, "--listen", "127.0.0.1:0")


# A whole service.


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def service(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    files = certificates.issue("up")
    words = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    started = Service(tmp_path_factory.mktemp("service"), tuple(words)).start()
    try:
        yield started
    finally:
        started.stop()


def public(service: Service) -> str:
    return json.loads((service.state_dir / "service.json").read_text())["public"]


def use(
    service: Service, certificates: Certificates | None, *words: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """A command as it is run on another machine."""
    profile = json.loads((service.state_dir / "client.json").read_text())
    environment = {
        **USUAL,
        "MANTA_URL": public(service), "MANTA_USER": profile["user"], "MANTA_KEY_ID": profile["key_id"],
        "HOME": str(service.state_dir / "home"),
        **({"REMORA_CA_FILE": str(certificates.authority)} if certificates else {}),
    }  # fmt: skip
    keys = service.state_dir / "home" / ".ssh"
    if not keys.exists():
        keys.parent.mkdir()
        keys.symlink_to(Path(profile["key_file"]).parent)
    return run_command(*words, env=environment, data=stdin, seconds=60)


def test_objects_of_any_size_go_and_come_by_tls(service: Service, certificates: Certificates, tmp_path: Path) -> None:
    assert public(service).startswith("https://127.0.0.1:")
    for size in (0, 1, 70_000, len(DATA)):
        put = use(service, certificates, "mput", "-q", "~~/stor/object", stdin=DATA[:size])
        assert put.returncode == 0, put.stderr
        assert use(service, certificates, "mget", "-q", "~~/stor/object").stdout == DATA[:size]


def test_a_job_runs_beside_tls(service: Service, certificates: Certificates) -> None:
    use(service, certificates, "mput", "-q", "~~/stor/text", stdin=b"one\ntwo\n")
    done = use(
        service, certificates, "mjob", "create", "-o", "-q", "wc -l; mls ~~/stor | grep text", stdin=b"~~/stor/text\n"
    )
    assert done.stdout.split() == [b"2", b"text"], done.stderr


def test_a_command_does_not_believe_an_unknown_authority(service: Service) -> None:
    refused = use(service, None, "mls")
    assert refused.returncode != 0
    assert b"certificate verify failed" in refused.stderr


def test_commands_on_the_same_machine_need_no_certificate(service: Service) -> None:
    assert b"stor" in service.run("mls", "~~").stdout


def test_the_days_that_are_left_are_a_metric(service: Service, certificates: Certificates) -> None:
    with urlopen(f"{public(service)}/metrics", context=certificates.trust()) as reply:
        assert b"remora_tls_expiry_seconds 8" in reply.read()
