"""What TAB offers: values of options, jobs with what they are; and what it costs when nothing answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.completion.scripts import script
from cli.main import PROGRAMS
from tests.support.services.cli_service import Service, gateway


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def offered(service: Service, line: str, shell: str = "fish", **env: str) -> list[str]:
    """The candidates for the last word of a line, as the scripts ask for them."""
    words = line.split(" ")
    number = {"COMP_CWORD": words[-1]} if shell == "fish" else {"COMP_CWORD": str(len(words) - 1)}
    asked = {f"_{words[0].upper()}_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, **number}
    return service.run(words[0], env={**asked, **env}).out.splitlines()


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("mjob create --memory 2", ["256", "2048"]),
        ("mjob create --disk 1", ["16", "128", "1024"]),
        ("mjob create --count 1", ["1", "16", "128"]),
        ("remora up --provider c", ["containerd"]),
    ],
)
def test_an_option_with_few_values_offers_them(service: Service, line: str, values: list[str]) -> None:
    assert offered(service, line, "bash") == [f"plain,{value}" for value in values]


def test_a_job_is_offered_with_its_state_and_age(service: Service) -> None:
    job = service.ok("mjob", "create", "-q", "--open", "-m", "wc", stdin=b"").strip()
    (line,) = offered(service, f"mjob cancel {job[:8]}")
    assert line.startswith(f"plain,{job}\trunning, created ")


def test_a_service_that_is_stopped_is_tried_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.shell_completion import ShellComplete

    from cli.commands.mls import command as mls

    monkeypatch.setattr("cli.client.transport.connection.time.sleep", lambda _: pytest.fail("TAB waits"))
    for name, value in {"MANTA_URL": "http://127.0.0.1:1", "MANTA_USER": "jill", "MANTA_NO_AUTH": "true"}.items():
        monkeypatch.setenv(name, value)
    assert ShellComplete(mls, {}, "mls", "_MLS_COMPLETE").get_completions([], "~~/stor/x") == []


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_every_command_completes_in_fish_from_where_the_help_says(service: Service, tmp_path: Path) -> None:
    place = tmp_path / ".config/fish/conf.d"
    place.mkdir(parents=True)
    (place / "remora.fish").write_text(script("fish", list(PROGRAMS)))
    asked = "; ".join(f'complete -C "{name} --versio"' for name in PROGRAMS)
    env = {"HOME": str(tmp_path), "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"}
    told = subprocess.run(["fish", "-c", asked], env=env, capture_output=True, text=True, timeout=60).stdout
    assert told.count("--version") == len(PROGRAMS)
