"""The C tests and fuzz targets of the data path, under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.variants import thorough

FEW = "1000"  # changes of a corpus
RUNNER = Path(__file__).parents[3] / "datapath" / "tests" / "run.py"
spec = importlib.util.spec_from_file_location("datapath_tests_run", RUNNER)
assert spec is not None and spec.loader is not None
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)


@pytest.mark.parametrize("source", runner.programs(), ids=lambda source: source.stem)
def test_c_program_passes_under_the_sanitizers(source: Path) -> None:
    [program] = runner.build_all([source])
    result = runner.run(program, FEW)
    assert not result.failed, result.output


@thorough
@pytest.mark.parametrize("source", runner.targets(), ids=lambda source: source.stem)
def test_a_fuzz_target_takes_many_changes_of_its_corpus(source: Path) -> None:
    [program] = runner.build_all([source])
    result = runner.run(program)
    assert not result.failed, result.output


def test_runner_says_which_program_failed(tmp_path: Path) -> None:
    failing = tmp_path / "test_wrong"
    failing.write_text("#!/bin/sh\necho what was wrong >&2\nexit 1\n")
    failing.chmod(0o755)
    assert runner.run(failing) == runner.Result("test_wrong", True, "what was wrong\n")


def test_runner_refuses_nothing_and_runs_what_is_named() -> None:
    done = subprocess.run([sys.executable, RUNNER, "test_pass"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["ok", "test_pass"])
