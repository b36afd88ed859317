"""Talking to containerd: calls, and what its refusals mean.

containerd is asked for little: to keep a container, run its first process, and take both
away. Everything else (its root, its disk, its inputs) is ours and stays outside. So there is
no snapshot, no content and no image of ours in containerd, hence nothing for its garbage
collector to take from us, and no lease to hold.

Calls block, and are made in threads. A daemon that is starting again is waited for: its
containers do not need it to run.

What containerd and its runtime know of a container are files, and files get lost. Then they
refuse to remove what is dead already, and would for ever. So a shim that only refuses is
killed, which containerd takes for an end as good as any, and what the runtime kept is removed
by us; else the next container of that name would find it.
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
# An end that takes longer is none.
REMOVE_SECONDS = 20.0
REMOVE_PAUSE = 0.1
# So long only, a shim may refuse.
SHIM_SECONDS = 3.0
MAX_MESSAGE = 16 << 20
NAMESPACE = "remora"


class ContainerdError(InstanceError):
    """containerd refused; the text says what, and how it put it."""

    def __init__(self, call: api.Call, status: grpc.StatusCode, details: str) -> None:
        super().__init__(f"containerd refused {call.method}: {details or status.name}")
        self.status = status


class Client:
    """A connection to one daemon, in a namespace of our own; the runtime keeps its notes below `notes`. Thread-safe."""

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
        """One call. Raises ContainerdError."""
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
        """Of the daemon. Raises InstanceError if it does not answer, or is too old for us."""
        try:
            version: str = self.call(api.VERSION, PROBE_SECONDS)["version"]
        except ContainerdError as error:
            raise InstanceError(f"no containerd answers at {self.address}: {error}") from error
        found = re.match(r"v?(\d+)\.(\d+)", version)
        if found is None or (int(found[1]), int(found[2])) < OLDEST:
            raise InstanceError(f"containerd at {self.address} is {version}, and 1.6 or newer is needed")
        return version

    def create(self, name: str, labels: Mapping[str, str], spec: Mapping[str, Any], owner: int, words: Path) -> int:
        """Make a container and its first process, stopped before the first instruction; its process id.

        What the process prints goes to the file `words`; `owner` is the user (outside) whose its streams are.
        Raises ContainerdError.
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
        """Kill and forget a container, whatever of it there is. Raises ContainerdError if it stays.

        One whose shim was killed is refused until containerd has noticed, and cleaned up behind it.
        """
        began = time.monotonic()
        while not self._removed(name, time.monotonic() - began):
            time.sleep(REMOVE_PAUSE)
        shutil.rmtree(self._notes / NAMESPACE / name, ignore_errors=True)

    def _removed(self, name: str, tried: float) -> bool:
        """Try once more, after so many seconds. Raises ContainerdError if that was the last time."""
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
    """End the process that stands between containerd and a container, if there is one."""
    wanted = f"\0-namespace\0{NAMESPACE}\0-id\0{name}\0".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                if wanted in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)


class missing_is_fine(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a word
    """Passes over what containerd does not have, or has ended already."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> bool:
        gone = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
        return isinstance(error, ContainerdError) and error.status in gone
