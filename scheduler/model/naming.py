"""The names that the service gives to the outputs of tasks.

They all lie below `B = /<login>/jobs/<job>/stor`. A task is named after its
*base*: the job input that it descends from, its own input without `B` if that is
unknown, or `reduce`. With P the phase and T the task's UUID:

    captured stdout     B<base>.P.T          B/reduce.P.T
    stderr              B<base>.P.err.T      B/reduce.P.err.T
    core                B/cores/P/core.<program>.<uuid>
    MANTA_OUTPUT_BASE   B<base>.P.           (a tool appends a UUID)
"""

from __future__ import annotations

# The task's end of an interactive session, an object of the service.
SESSION_PROGRAM = "/poseidon/public/medusa/agent.sh"
SESSION_EXEC = f"/assets{SESSION_PROGRAM}"


def jobs_directory(login: str) -> str:
    return f"/{login}/jobs"


def job_directory(login: str, job: str) -> str:
    return f"/{login}/jobs/{job}"


def stor(login: str, job: str) -> str:
    return f"/{login}/jobs/{job}/stor"


def base_of(login: str, job: str, task_input: str | None, origin: str | None) -> str:
    """The base of a task's names: `origin` is the job input it descends from, `task_input` its own input, if known."""
    if origin:
        return origin
    if task_input:
        return task_input.removeprefix(stor(login, job))
    return "/reduce"


def output_base(login: str, job: str, base: str, phase: int) -> str:
    return f"{stor(login, job)}{base}.{phase}."


def stdout_name(login: str, job: str, base: str, phase: int, task: str) -> str:
    return f"{stor(login, job)}{base}.{phase}.{task}"


def stderr_name(login: str, job: str, base: str, phase: int, task: str) -> str:
    return f"{stor(login, job)}{base}.{phase}.err.{task}"


def core_name(login: str, job: str, phase: int, program: str, unique: str) -> str:
    return f"{stor(login, job)}/cores/{phase}/core.{program}.{unique}"
