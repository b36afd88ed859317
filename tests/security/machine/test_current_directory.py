"""A directory that strangers have filled: a command of ours that is started there runs nothing of theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from scheduler.common import child
from tests.support.nodes.images import layer
from tests.support.variants import variants

BIN = Path(sys.executable).parent
SCRIPTS = sorted(
    entry.name for entry in metadata.distribution("remora").entry_points if entry.group == "console_scripts"
)
OURS = ("cli", "scheduler", "datapath", "jobspecs")
PROGRAMS = (
    *(
        "runc",
        "containerd",
        "containerd-shim-runc-v2",
        "mkfs.ext4",
        "unshare",
        "setpriv",
        "lackey",
        "bash",
        "sh",
        "man",
    ),
    *(
        "rm",
        "chmod",
        "cp",
        "tar",
        "debootstrap",
        "ssh-keygen",
        "ssh-add",
        "cat",
        "env",
        "python3",
        "python",
        "sort",
        "awk",
    ),
)
# What is read from the current directory by some program or other.
FILES = (".env", "pyvenv.cfg", "client.json", ".netrc", "config.toml", ".profile")
NO_MODULES = {"__main__", "antigravity", "this"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory: a module for each name that anything may import, a program for each that anything may run."""
    place = tmp_path_factory.mktemp("theirs")
    ran = place / "RAN"
    module = f"open({str(ran)!r}, 'a').write(__file__ + chr(10))\nraise SystemExit('this is theirs')\n"
    customized = {"sitecustomize", "usercustomize"}
    packages = {name for name in metadata.packages_distributions() if name.isidentifier()}
    for name in (sys.stdlib_module_names | customized | packages | set(OURS)) - NO_MODULES:
        (place / f"{name}.py").write_text(module)
    for name in OURS:
        (place / name).mkdir()
        for inner in ("__init__", "agent", "providers", "main"):
            (place / name / f"{inner}.py").write_text(module)
    for name in PROGRAMS:
        (place / name).write_text(f"#!/bin/sh\necho $0 >> {ran}\nexit 1\n")
        (place / name).chmod(0o755)
    for name in FILES:
        (place / name).write_text("MANTA_URL=http://evil.invalid\n")
    return place


def environment(here: Path, home: Path) -> dict[str, str]:
    """Of an operator whose PATH and PYTHONPATH have parts that mean the current directory."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("MANTA_", "REMORA_", "PYTHON"))}
    return {**keep, "PATH": f":{keep['PATH']}::.", "HOME": str(home), "REMORA_STATE_DIR": str(home / "state")}


def run(here: Path, home: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / name, *words], cwd=here, env=environment(here, home), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", timeout=120,
    )  # fmt: skip


def ran(here: Path) -> list[str]:
    try:
        return sorted(set((here / "RAN").read_text().split("\n")) - {""})
    except FileNotFoundError:
        return []


@pytest.mark.parametrize("name", variants(SCRIPTS, 6))
def test_a_command_runs_nothing_of_the_directory_that_one_stands_in(here: Path, tmp_path: Path, name: str) -> None:
    run(here, tmp_path, name, *(["man"] if name == "remora" else ["/jill/stor/x"]))
    assert ran(here) == []


def test_a_service_and_a_job_run_nothing_of_it(here: Path, tmp_path: Path) -> None:
    done = run(here, tmp_path, "remora", "demo")
    assert done.returncode == 0, done.stderr
    assert "are equal" in done.stdout
    assert ran(here) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="NO IMAGE IS IMPORTED: that needs root")
@pytest.mark.parametrize("source", ["archive", "tree"])
def test_the_import_of_an_image_runs_nothing_of_it(here: Path, tmp_path: Path, source: str) -> None:
    given = here / f"given-{source}"
    if source == "archive":
        given.write_bytes(layer(("bin/", ""), ("bin/bash", "bash")))
    else:
        (given / "bin").mkdir(parents=True)
        (given / "bin" / "bash").touch()
    done = run(here, tmp_path, "remora", "image", "import", given.name, "17.0.0")
    assert done.returncode == 0, done.stderr
    assert ran(here) == []


def test_an_examination_of_the_machine_runs_nothing_of_it(here: Path, tmp_path: Path) -> None:
    assert run(here, tmp_path, "remora", "doctor").returncode in (0, 1)
    assert ran(here) == []


def test_the_trap_works(here: Path, tmp_path: Path) -> None:
    """Or else the tests above mean nothing."""
    subprocess.run([sys.executable, "-m", "scheduler.agent"], cwd=here, capture_output=True)
    subprocess.run("runc", cwd=here, env={"PATH": ""}, capture_output=True, shell=True)
    assert {Path(name).name for name in ran(here)} >= {"runc"}
    assert any(name.endswith(".py") for name in ran(here))
    (here / "RAN").unlink()


def test_a_child_gets_no_variables_of_python_and_only_absolute_places(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("PYTHONSTARTUP", "PYTHONHOME", "PYTHONINSPECT", "PYTHONUSERBASE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"::.:{tmp_path}:relative")
    found = child.environment()
    assert {name: value for name, value in found.items() if name.startswith("PYTHON")} == {"PYTHONPATH": str(tmp_path)}
    assert child.absolute(":.:bin:/usr/bin::../x:/bin", "/sbin") == "/usr/bin:/bin:/sbin"
    assert all(part.startswith("/") for part in found["PATH"].split(":"))


def test_a_child_stands_in_the_root_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert child.run(["pwd"], capture_output=True, text=True).stdout == "/\n"


OTHER_WAYS = (
    *("subprocess.run(['x'])", "subprocess.Popen(['x'])", "subprocess.check_output(['x'])", "os.system('x')"),
    *("os.execv('x', [])", "os.posix_spawn('x', [], {})", "asyncio.create_subprocess_exec('x')", "shutil.which('x')"),
    "ctypes.util.find_library('x')",
)


def test_the_lint_refuses_every_other_way_to_start_a_process() -> None:
    root = Path(__file__).parents[3]
    modules = "import asyncio\nimport ctypes.util\nimport os\nimport shutil\nimport subprocess\n\n"
    done = subprocess.run(
        [BIN / "ruff", "check", "--select", "TID251", "--stdin-filename", root / "scheduler" / "agent" / "new.py", "-"],
        input=modules + "\n".join(OTHER_WAYS) + "\n", capture_output=True, text=True, cwd=root,
    )  # fmt: skip
    assert done.stdout.count("TID251 ") == len(OTHER_WAYS), done.stdout
