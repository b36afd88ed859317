"""The directory of tools and commands that instances are shown."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest

from datapath import libexec
from scheduler.providers import programs
from scheduler.providers.programs import Programs, launcher_of, package_places, python_places


def run(launcher: Path, *words: str) -> str:
    return subprocess.run([launcher, *words], check=True, capture_output=True, text=True, env={}).stdout


def test_a_launcher_finds_its_module_wherever_that_is_and_passes_all_words(tmp_path: Path) -> None:
    place = tmp_path / 'it\'s a "place" $HOME `x` \\n'
    place.mkdir()
    (place / "said.py").write_text("import sys\ndef main():\n    print(sys.argv)\n")
    launcher = tmp_path / "launcher"
    launcher.write_text(launcher_of("say", "said:main", False, {"packages/0": place}))
    launcher.chmod(0o755)
    assert run(launcher, "two words", "line\nbreak", "") == "['say', 'two words', 'line\\nbreak', '']\n"


def test_the_directory_has_tools_and_commands_and_nothing_for_services(tmp_path: Path) -> None:
    made = Programs(tmp_path / "tools", isolated=False)
    names = {path.name for path in made.tools.iterdir()}
    assert {"mpipe", "mcat", "mtee", "msplit", "mls", "mput", "mget", "mjob"} <= names
    assert names.isdisjoint({"lackey", "launch", "remora", "prefork.so"})
    assert {".prefork.so", ".prefork.sh"} <= names
    assert {*python_places().values(), *package_places().values()} <= set(made.shown.values())
    assert run(made.tools / "mls", "--version").startswith("mls ")


def test_it_is_made_anew_at_every_start(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "stale").touch()
    assert not (Programs(tmp_path / "tools", isolated=True).tools / "stale").exists()


def test_a_launcher_for_an_instance_names_nothing_of_this_machine(tmp_path: Path) -> None:
    made = Programs(tmp_path / "tools", isolated=True)
    text = (made.tools / "mls").read_text()
    assert "/.remora/python/bin/python3" in text
    assert not [path for path in made.shown.values() if str(path) in text]


def test_tools_are_there_where_the_commands_are_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(programs, "DISTRIBUTION", "nothing-of-this-name")
    with caplog.at_level(logging.WARNING):
        made = Programs(tmp_path / "tools", isolated=True)
    assert {path.name for path in made.tools.iterdir()} >= {"mpipe", "mcat"}
    assert made.shown == {}
    assert "not installed" in caplog.text


def test_the_libraries_of_the_interpreter_are_enough_to_start_it(tmp_path: Path) -> None:
    made = Programs(tmp_path / "tools", isolated=True)
    libraries = made.tools / ".python"
    script = tmp_path / "script"
    script.write_text(
        f"#!{libraries}/launch {made.shown['python/bin/python3']}\n"
        "import ssl, sys\n"
        "print(sys.argv[1:])\n"
        "print(*{line.split()[-1] for line in open('/proc/self/maps') if '/libc.' in line or '/libssl.' in line})\n"
    )
    script.chmod(0o755)
    words, loaded = run(script, "a b", "").splitlines()
    assert words == "['a b', '']"
    assert loaded
    assert all(path.startswith(f"{libraries}/") for path in loaded.split())


def test_who_calls_the_launcher_by_hand_is_told(tmp_path: Path) -> None:
    done = subprocess.run([libexec("launch")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, 'launch: to be used as "#!DIR/launch PYTHON"\n')
    (tmp_path / "launch").symlink_to(libexec("launch"))
    done = subprocess.run([tmp_path / "launch", "python", "script"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (127, f"launch: {tmp_path}/loader: No such file or directory\n")
