"""The client of containerd: calls, and the meaning of its refusals.

containerd does little for us: it keeps a container, runs its first process, and removes both.
Everything else (its root, its disk, its inputs) is ours and stays outside. So there is no snapshot,
no content and no image of ours in containerd, hence nothing for its garbage collector to remove,
and no lease to hold.

Calls block, and are made in threads. They wait for a daemon that is restarting: its containers run
without it.

containerd and its runtime keep the state of a container in files, and files get lost. Then they
refuse for ever to remove a container that is dead already. So a shim that only refuses is killed,
which containerd accepts as its end, and we remove the runtime's files; otherwise the next container
of that name would find them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc

from scheduler.providers import InstanceError
from scheduler.providers.containerd import api
from scheduler.providers.containerd.codec import Message, decode, encode

OLDEST = (1, 6)
CALL_SECONDS = 30.0
PROBE_SECONDS = 5.0
# Seconds after which the removal of a container has failed.
REMOVE_SECONDS = 20.0
REMOVE_PAUSE = 0.1
# Seconds for which a shim may refuse.
SHIM_SECONDS = 3.0
MAX_MESSAGE = 16 << 20
NAMESPACE = "remora"


class ContainerdError(InstanceError):
    """containerd refused; the text says what, and quotes its reason."""

    def __init__(self, call: api.Call, status: grpc.StatusCode, details: str) -> None:
        super().__init__(f"containerd refused {call.method}: {details or status.name}")
        self.status = status


class ContainerdClient:
    """A connection to one daemon, in a namespace of our own. Thread-safe.

    The runtime keeps its files below `notes`.
    """

    def __init__(self, address: str, notes: Path) -> None:
        self.address = address
        self._notes = notes
        self._channel = grpc.insecure_channel(
            f"unix://{address}",
            options=[
                ("grpc.default_authority", "localhost"),
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.max_reconnect_backoff_ms", 500),
            ],
        )

    def close(self) -> None:
        self._channel.close()

    def call(self, call: api.Call, seconds: float = CALL_SECONDS, **fields: Any) -> Message:
        """Make one call; returns the reply. Raises ContainerdError."""
        invoke = self._channel.unary_unary(
            call.path,
            request_serializer=lambda message: encode(call.request, message),
            response_deserializer=lambda data: decode(call.reply, data),
        )
        try:
            reply: Message = invoke(
                fields, timeout=seconds, metadata=(("containerd-namespace", NAMESPACE),), wait_for_ready=True
            )
        except grpc.RpcError as error:
            raise ContainerdError(call, error.code(), error.details() or "") from error
        return reply

    def version(self) -> str:
        """The version of the daemon. Raises InstanceError if it does not answer, or is too old."""
        try:
            version: str = self.call(api.VERSION, PROBE_SECONDS)["version"]
        except ContainerdError as error:
            raise InstanceError(f"no containerd answers at {self.address}: {error}") from error
        found = re.match(r"v?(\d+)\.(\d+)", version)
        if found is None or (int(found[1]), int(found[2])) < OLDEST:
            raise InstanceError(f"containerd at {self.address} is {version}, and 1.6 or newer is needed")
        return version

    def create(self, name: str, labels: Mapping[str, str], spec: Mapping[str, Any], owner: int, words: Path) -> int:
        """Make a container and its first process, stopped before the first instruction; returns the process's id.

        The output of the process goes to the file `words`; `owner` is the host's user that owns its streams. Raises
        ContainerdError.
        """
        container = {
            "id": name,
            "labels": labels,
            "runtime": {"name": api.RUNTIME},
            "spec": {"type_url": api.SPEC_TYPE, "value": json.dumps(spec).encode()},
        }
        self.call(api.CREATE_CONTAINER, container=container)
        options = encode(api.RUNC_OPTIONS, {"io_uid": owner, "io_gid": owner, "root": str(self._notes)})
        made = self.call(
            api.CREATE_TASK,
            container_id=name,
            stdout=str(words),
            stderr=str(words),
            options={"type_url": api.OPTIONS_TYPE, "value": options},
        )
        pid: int = made["pid"]
        return pid

    def start(self, name: str) -> None:
        self.call(api.START_TASK, container_id=name)

    def running(self, name: str) -> int | None:
        """The id of the container's first process, if it runs. Raises ContainerdError."""
        with missing_is_fine():
            process = self.call(api.GET_TASK, container_id=name)["process"]
            if process and process["status"] == api.RUNNING:
                pid: int = process["pid"]
                return pid
        return None

    def remove(self, name: str) -> None:
        """Kill and remove a container, or what is left of it. Raises ContainerdError if that fails.

        containerd refuses this for a container whose shim was killed, until it has noticed and cleaned up.
        """
        began = time.monotonic()
        while not self._removed(name, time.monotonic() - began):
            time.sleep(REMOVE_PAUSE)
        shutil.rmtree(self._notes / NAMESPACE / name, ignore_errors=True)

    def _removed(self, name: str, tried: float) -> bool:
        """Try once more to remove a container, `tried` seconds after the first time.

        Raises ContainerdError when that is too long.
        """
        try:
            self._remove(name)
        except ContainerdError as error:
            if tried > REMOVE_SECONDS:
                raise
            if tried > SHIM_SECONDS and error.status is grpc.StatusCode.UNKNOWN:
                kill_shim(name)
            return False
        return True

    def _remove(self, name: str) -> None:
        with missing_is_fine():
            self.call(api.KILL_TASK, container_id=name, signal=int(signal.SIGKILL), all=True)
        with missing_is_fine():
            self.call(api.WAIT_TASK, seconds=REMOVE_SECONDS, container_id=name)
        with missing_is_fine():
            self.call(api.DELETE_TASK, container_id=name)
        with missing_is_fine():
            self.call(api.DELETE_CONTAINER, id=name)

    def containers(self, label: str, value: str) -> list[Message]:
        """`id` and `labels` of the containers that have a label."""
        found: list[Message] = self.call(api.LIST_CONTAINERS, filters=[f'labels."{label}"=="{value}"'])["containers"]
        return found


def kill_shim(name: str) -> None:
    """Kill the shim, the process between containerd and a container, if there is one."""
    wanted = f"\0-namespace\0{NAMESPACE}\0-id\0{name}\0".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                if wanted in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)


class missing_is_fine(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a word
    """Ignores that containerd does not have something, or has ended it already."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> bool:
        gone = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
        return isinstance(error, ContainerdError) and error.status in gone
