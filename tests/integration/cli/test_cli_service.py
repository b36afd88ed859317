"""remora's own commands against a whole service: its environment, its demonstration, a second one."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.services.cli_service import Service, start_remora


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in a home directory of its own. It must end cleanly on Ctrl-C."""
    home = tmp_path_factory.mktemp("home")
    with start_remora(home) as running:
        yield running


def test_env_prints_what_a_shell_needs(service: Service) -> None:
    shell = 'eval "$1"; printf "%s|" "$MANTA_URL" "$MANTA_USER" "$MANTA_KEY_ID" "$REMORA_STATE_DIR"'
    text = service.ok("remora", "env")
    got = subprocess.run(["bash", "-c", shell, "-", text], stdout=subprocess.PIPE, check=True).stdout.decode()
    profile = json.loads((service.state / "client.json").read_text())
    assert got == f"{profile['url']}|{profile['user']}|{profile['key_id']}|{service.state}|"


def test_env_says_when_nothing_runs(service: Service, tmp_path: Path) -> None:
    result = service.run("remora", "env", "--state-dir", str(tmp_path))
    assert result.code == 1
    assert result.err.startswith(f"remora env: error: no service runs with the state directory {tmp_path}")


def test_a_second_service_on_the_same_state_is_refused(service: Service) -> None:
    result = service.run("remora", "up", "--port", "0")
    assert result.code == 1
    assert "remora up: error: a service runs on " in result.err


def test_the_demonstration_finds_equal_results_and_leaves_nothing(service: Service) -> None:
    before = service.ok("mjob", "list"), service.ok("mls")
    result = service.run("remora", "demo")
    assert result.code == 0, result
    assert result.out.endswith("different words\nthe job and the local pipeline are equal\n")
    assert (service.ok("mjob", "list"), service.ok("mls")) == before


def test_the_version_is_two_lines(service: Service) -> None:
    assert re.fullmatch(r"mls \d+\.\d+\.\d+\nRemora: .*\n", service.ok("mls", "--version"))


def test_without_a_service_the_demonstration_starts_and_ends_one(tmp_path: Path) -> None:
    result = Service(tmp_path).run("remora", "demo", env={"TMPDIR": str(tmp_path)})
    assert result.code == 0, result
    assert result.out.endswith("the job and the local pipeline are equal\n")
    assert list(tmp_path.iterdir()) == []
