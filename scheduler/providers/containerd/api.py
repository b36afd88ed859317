"""The part of containerd's API that we use: the tables of its messages, and its calls.

Field numbers are those of containerd 1.6, which no later version has changed. A call is a
path and the tables of its request and its reply.

Example: `VERSION` asks `/containerd.services.version.v1.Version/Version` for two strings.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.providers.containerd.codec import Repeated, StringMap, Table

EMPTY: Table = {}
ANY: Table = {"type_url": (1, "str"), "value": (2, "bytes")}

# The contents of `Any` fields: a runtime spec is JSON, the options of the runtime are a message.
SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
OPTIONS_TYPE = "containerd.runc.v1.Options"
RUNTIME = "io.containerd.runc.v2"
RUNC_OPTIONS: Table = {"io_uid": (4, "int"), "io_gid": (5, "int"), "root": (7, "str")}


@dataclass(frozen=True, slots=True)
class Call:
    """A call: its path, and the tables of its request and its reply."""

    service: str
    method: str
    request: Table
    reply: Table

    @property
    def path(self) -> str:
        return f"/containerd.services.{self.service}/{self.method}"


CONTAINER: Table = {
    "id": (1, "str"),
    "labels": (2, StringMap("str")),
    "runtime": (4, {"name": (1, "str")}),
    "spec": (5, ANY),
}
PROCESS: Table = {"id": (2, "str"), "pid": (3, "int"), "status": (4, "int"), "exit_status": (9, "int")}
TASK: Table = {"container_id": (1, "str")}

VERSION = Call("version.v1.Version", "Version", EMPTY, {"version": (1, "str"), "revision": (2, "str")})
CREATE_CONTAINER = Call(
    "containers.v1.Containers", "Create", {"container": (1, CONTAINER)}, {"container": (1, CONTAINER)}
)
LIST_CONTAINERS = Call(
    "containers.v1.Containers",
    "List",
    {"filters": (1, Repeated("str"))},
    {"containers": (1, Repeated({"id": (1, "str"), "labels": (2, StringMap("str"))}))},
)
DELETE_CONTAINER = Call("containers.v1.Containers", "Delete", {"id": (1, "str")}, EMPTY)
CREATE_TASK = Call(
    "tasks.v1.Tasks",
    "Create",
    # Existing files, or both empty: with only one of the two, or with URIs, the shim fails in several ways.
    {"container_id": (1, "str"), "stdout": (5, "str"), "stderr": (6, "str"), "options": (9, ANY)},
    {"container_id": (1, "str"), "pid": (2, "int")},
)
START_TASK = Call("tasks.v1.Tasks", "Start", TASK, {"pid": (1, "int")})
GET_TASK = Call("tasks.v1.Tasks", "Get", TASK, {"process": (1, PROCESS)})
KILL_TASK = Call("tasks.v1.Tasks", "Kill", {**TASK, "signal": (3, "int"), "all": (4, "int")}, EMPTY)
WAIT_TASK = Call("tasks.v1.Tasks", "Wait", TASK, {"exit_status": (1, "int")})
DELETE_TASK = Call("tasks.v1.Tasks", "Delete", TASK, {"id": (1, "str"), "pid": (2, "int"), "exit_status": (3, "int")})

# Values of PROCESS["status"].
RUNNING = 2
