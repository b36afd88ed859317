"""Environment variables of tasks: those of all processes in an instance, and those of one task.

Example: each process of an instance has MANTA_JOB_ID, and each of a map task has MANTA_INPUT_FILE, too.
"""

from __future__ import annotations

from scheduler.agent.attempts import output_names
from scheduler.agent.attempts.input_files import Place
from scheduler.model.wire import PoolSpec, TaskLease
from scheduler.providers import View

# Where tools look for the agent by default; an instance that has it elsewhere tells them by a variable.
SOCKET = "/.remora/agent.sock"


def has_host_files(view: View) -> bool:
    """Whether an instance has the host's file system: there /assets and the agent's socket are not where tasks look."""
    return view.agent_socket != SOCKET


def common_environment(spec: PoolSpec, view: View, url: str) -> dict[str, str]:
    """Environment variables of all processes in an instance, `init` included."""
    shared = has_host_files(view)  # say where the tools find us and where files may go
    return {
        "HOME": view.home,
        "PATH": f"{view.tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "MANTA_URL": url,
        "MANTA_NO_AUTH": "true",
        "MANTA_USER": spec.login,
        "MANTA_JOB_ID": spec.job,
        "DTRACE_DOF_INIT_DISABLE": "1",
        # As root, tar restores owners, which fails in an instance with one user; most archives have other owners.
        **({"TAR_OPTIONS": "--no-same-owner"} if view.one_user else {}),
        **({"REMORA_PARTITIONS": str(spec.partitions)} if spec.operation is not None else {}),
        **({"REMORA_SOCKET": view.agent_socket, "TMPDIR": view.home} if shared else {}),
    }


def task_environment(
    spec: PoolSpec, lease: TaskLease, place: Place | None, view: View, init: bool = False
) -> dict[str, str]:
    """Environment variables of one task, or of the init script on its behalf, besides `common_environment`."""
    result = {"MANTA_OUTPUT_BASE": output_names.output_base(spec, lease)}
    if spec.operation is not None:
        result |= {"MANTA_JOB_TYPE": spec.operation}
    if init:
        return result
    if lease.number is not None:
        attempt = {"MANTA_TASK_ID": lease.uuid, "MANTA_ATTEMPT": str(lease.attempt)}
        result |= {"MANTA_TASK_NUMBER": str(lease.number)} | attempt
    if place is not None and lease.input is not None:
        file = view.inputs + place.path
        result |= {
            "MANTA_INPUT_OBJECT": lease.input,
            "mc_input_key": lease.input,
            "MANTA_INPUT_FILE": file,
            "mc_input_file": file,
        }
    if lease.part is not None and spec.operation is None:
        result["MANTA_REDUCER"] = str(lease.part)
    return result
