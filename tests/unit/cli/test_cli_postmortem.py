"""Which task and which intermediate is meant, and the files that a task has on this machine."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from cli.client.problem import Problem
from cli.postmortem.lineage import Made, UnknownMakerError, made_before
from cli.postmortem.scripts import MAX_SCRIPT, local, shell
from cli.postmortem.tasks import Task, of_error

STOR = "/jill/jobs/J/stor"
FAILED = f"{STOR}/jill/stor/x.1.err.t4"


def run(ids: str, mark: str = "") -> list[Task]:
    """A run of three phases on /jill/stor/x: the first task makes two objects by a tool, of each comes one more."""
    tool = [f"{STOR}{mark}/jill/stor/x.0.{name}" for name in ids[:2]]
    first = Task(f"f{mark}", 0, "/jill/stor/x", "/jill/stor/x")
    second = [Task(f"s{n}{mark}", 1, name, "/jill/stor/x") for n, name in enumerate(tool)]
    third = [Task(f"t{n}{mark}", 2, f"{STOR}/jill/stor/x.1.s{n}{mark}", "/jill/stor/x") for n in (1, 0)]
    return [first, *second, *third]


def test_a_place_is_the_same_in_two_runs() -> None:
    old, new = run("pq"), run("zy", "-new")
    made = made_before(2, old)
    assert [made.place(str(task.input)) for task in old[3:]] == [(1, 0), (0, 0)]
    outputs = [f"{STOR}/jill/stor/x.1.s{n}-new" for n in (0, 1)]
    again = made_before(2, new[:3], outputs)
    assert [again.at(made.place(str(task.input))) for task in old[3:]] == [outputs[1], outputs[0]]
    assert again.at((2, 0)) is None


def test_what_a_reducer_made_is_placed_by_its_number() -> None:
    tasks = [Task("a", 0, "/jill/stor/x"), Task("r0", 1, None, reducer=0), Task("r1", 1, None, reducer=1)]
    made = made_before(2, tasks, [f"{STOR}/reduce.1.r1", f"{STOR}/reduce.1.r0"])
    assert (made.at((0, 0)), made.at((1, 0))) == (f"{STOR}/reduce.1.r0", f"{STOR}/reduce.1.r1")


def test_a_tool_s_output_has_no_known_maker_among_several() -> None:
    makers = [Task("a", 0, "/jill/stor/x"), Task("b", 0, "/jill/stor/y")]
    made = Made(0, makers, [f"{STOR}/x.0.u1"], None)
    with pytest.raises(UnknownMakerError):
        made.place(f"{STOR}/x.0.u1")
    assert made.at((0,)) is None


def test_an_error_names_its_task_and_what_that_left() -> None:
    live = of_error({"phase": "1", "stderr": FAILED, "core": "/c", "input": "/jill/stor/x", "p0input": "/o"})
    stdout = f"{STOR}/jill/stor/x.1.t4"
    assert live == Task("t4", 1, "/jill/stor/x", "/o", left={"stderr": FAILED, "core": "/c", "stdout": stdout})
    archived = of_error({"phaseNum": "1", "taskId": "t5"})
    assert archived == Task("t5", 1, None)


def test_a_script_that_fits_into_no_message_is_refused() -> None:
    task = Task("t", 0, "/jill/stor/x")
    assert "echo hello" in shell("echo hello", task)
    with pytest.raises(Problem, match='the script of the task of phase 0 on "/jill/stor/x" has more than'):
        shell("x" * (MAX_SCRIPT + 1), task)


@pytest.mark.parametrize("name", ["here", "with space & 'quote'"])
def test_the_files_of_a_task_run_anywhere(tmp_path: Path, name: str) -> None:
    where = tmp_path / name
    where.mkdir()
    evil = "/jill/stor/$(touch oops) 'x'"
    phase = {
        "exec": 'cat; echo "$MANTA_INPUT_OBJECT"; cat "$MANTA_INPUT_FILE" \'/assets/a/tool\'; exit 3',
        "init": "pwd",
    }
    for file, text in local(Task("t", 0, evil), phase, "jill", "J\nrm x").items():
        (where / file).write_text(text)
    (where / "input").write_text("in\n")
    (where / "assets/a").mkdir(parents=True)
    (where / "assets/a/tool").write_text("tool\n")
    done = subprocess.run(["bash", where / "run.sh"], capture_output=True, text=True, cwd=tmp_path)
    quoted = "'" in name
    assert done.returncode == 3 and done.stdout.startswith(f"in\n{evil}\nin\n") and (quoted or "tool" in done.stdout)
    assert (
        subprocess.run(["bash", where / "init.sh"], capture_output=True, text=True, cwd=tmp_path).stdout
        == f"{tmp_path}\n"
    )
    assert "rm x" not in (where / "run.sh").read_text().splitlines() and not list(tmp_path.glob("**/oops"))


def test_a_reducer_has_its_number_and_no_input_of_a_name() -> None:
    env = local(Task("t", 1, None, reducer=2), {"exec": "sort"}, "jill", "J")["env"]
    assert "MANTA_REDUCER=2" in shlex.split(env) and "MANTA_INPUT" not in env
