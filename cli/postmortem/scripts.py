"""What runs at a task that is looked into: its script on its input, in a session and on this machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from cli.client.problem import Problem
from cli.postmortem.tasks import Task

MAX_SCRIPT = 48 * 1024  # of bytes, in the message that starts the shell
DIRECTORY = "/task"
# A bash that runs a script removes PS1 from its environment.
PROMPT = r"PS1='\[\033[1m\]'$MANTA_USER'@manta # \[\033[0m\]'"
RUN_THERE = """#!/bin/bash
# The script of the task, on its input, in the directory where it ran.
exec bash --norc -c "cd /; $MANTA_EXEC" < "$TASK/input"
"""
# Assets are below /assets in an instance, and beside the script here.
HERE = """#!/bin/bash
# {about}
here=$(dirname "$(readlink -f "$0")")
set -a
. "$here/env"
set +a
exec bash --norc -c "${{{variable}//\\/assets\\//"$here"/assets/}}" < "$here/{stdin}"
"""
ABOUT_INIT = "What ran once in the instance, before its tasks. Read it first: here it runs on your machine."
OF_INPUT = ("MANTA_INPUT_OBJECT", "MANTA_INPUT_FILE", "mc_input_key", "mc_input_file")


def variables_of(task: Task) -> dict[str, str]:
    """The variables that differ from task to task, but for the file of the input."""
    if task.input is None:
        return {"MANTA_REDUCER": str(task.reducer)}
    return {"MANTA_INPUT_OBJECT": task.input, "mc_input_key": task.input}


def exports(variables: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def shell(script: str, task: Task, command: str | None = None) -> str:
    """The script of a session that has this task's input as its own: the directory `/task`, variables, then bash.

    Where the root cannot be written, the directory is below $HOME. `command` runs instead of a shell. Raises `Problem`
    if `script` is too long.
    """
    if len(script.encode()) > MAX_SCRIPT:
        raise Problem(f"the script of {task.described} has more than {MAX_SCRIPT} bytes: log in with mlogin")
    lines = [
        f"export TASK={DIRECTORY}",
        'mkdir $TASK 2> /dev/null || { TASK=$HOME$TASK; mkdir -p "$TASK"; }; cd "$TASK"',
        'ln -s "$MANTA_INPUT_FILE" input',
        *(f"ln -s {shlex.quote(f'/assets{path}')} {name}" for name, path in task.left.items()),
        f"printf %s {shlex.quote(RUN_THERE)} > run.sh; chmod +x run.sh",
        *([f"unset {' '.join(OF_INPUT)}"] if task.input is None else []),
        *exports(variables_of(task) | {"MANTA_EXEC": script}),
    ]
    if command is not None:
        return "\n".join([*lines, f"exec bash --norc -c {shlex.quote(command)}"])
    shown = f'echo "$TASK:" {shlex.quote(" ".join([*task.left, "input run.sh"]))}'
    return "\n".join([*lines, shown, f"{PROMPT} exec bash --norc"])


def local(task: Task, phase: Mapping[str, Any], account: str, job: str) -> dict[str, str]:
    """The files of a task on this machine, by name: `env`, `run.sh`, and `init.sh` if the phase has an init script."""
    variables = variables_of(task) | {"MANTA_USER": account, "MANTA_JOB_ID": job, "MANTA_EXEC": str(phase["exec"])}
    about = "".join(c if c.isprintable() else "?" for c in f"{task.described} of job {job}")
    files = {"run.sh": HERE.format(about=about, variable="MANTA_EXEC", stdin="input")}
    if init := phase.get("init"):
        variables["MANTA_INIT"] = str(init)
        files["init.sh"] = HERE.format(about=ABOUT_INIT, variable="MANTA_INIT", stdin="input")
    lines = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    if task.input is not None:
        lines += ["MANTA_INPUT_FILE=$here/input", "mc_input_file=$here/input"]
    return files | {"env": "\n".join([*lines, ""])}
