"""The state directory: its files, its access rules, and its lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from scheduler.common.private_directory import NotPrivateError, open_own_file, open_private

DATABASE = "remora.db"
OBJECTS = "blobs"
LOG_FILE = "service.log"


class StateError(Exception):
    """The state directory cannot be used; a sentence that says why."""


class ServiceNotRunning(StateError):  # noqa: N818 - it is not an error of the program
    """No service runs on this state directory."""


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """The addresses of a running service, and its first account. `key_id` is the MD5 fingerprint with colons."""

    url: str
    login: str
    key_id: str
    state_dir: str
    pid: int
    key_file: str | None = None
    instances: str = ""  # the provider or providers of instances
    gaps: tuple[str, ...] = ()  # sentences: gaps in the isolation of tasks
    public: str = ""  # URL for other machines; `url` is for this one


def read_info(state_dir: Path) -> ServiceInfo:
    """The `ServiceInfo` of the service on this directory. Raises ServiceNotRunning; StateError for another user's."""
    directory = _open(state_dir, make=False)
    try:
        with open(open_own_file("service.json", os.O_RDONLY, directory)) as file:
            info = ServiceInfo(**json.loads(file.read()))
        held = _is_locked(directory)
    except (OSError, ValueError, TypeError):
        held = False
    finally:
        os.close(directory)
    if not held:
        raise _not_running(state_dir)
    return info


def require_own(state_dir: Path) -> None:
    """Raises StateError if a directory is another user's, or another user could have put it there."""
    with contextlib.suppress(ServiceNotRunning):
        os.close(_open(state_dir, make=False))


class StateDir:
    """The directory while a service holds its lock. Raises StateError if another service does, or it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._directory = _open(path, make=True)
        try:
            self._lock = open_own_file("lock", os.O_RDWR | os.O_CREAT, self._directory)
        except OSError as error:
            os.close(self._directory)
            raise StateError(f"cannot use {path / 'lock'} for the state: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            os.close(self._directory)
            raise StateError(f"a service runs on {path} already: see `remora env --state-dir {path}`") from None

    def close(self) -> None:
        (self.path / "service.json").unlink(missing_ok=True)
        os.close(self._lock)
        os.close(self._directory)

    def secret(self, name: str) -> str:
        """The secret in file `name`, created on first use."""
        path = self.path / name
        if not path.exists():
            self.write(name, secrets.token_urlsafe(32))
        return path.read_text()

    def write(self, name: str, text: str) -> None:
        """Replace a small file atomically, readable by its owner only."""
        temporary = f".{name}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with open(open_own_file(temporary, flags, self._directory), "w") as file:
            file.write(text)
        os.rename(temporary, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def announce(self, info: ServiceInfo) -> None:
        """Write the addresses of the service for `remora env` and the command line."""
        profile = {"url": info.url, "user": info.login, "key_id": info.key_id, "key_file": info.key_file}
        self.write("client.json", json.dumps(profile, indent=2) + "\n")
        self.write("service.json", json.dumps(asdict(info), indent=2) + "\n")


def _open(path: Path, make: bool) -> int:
    """Open the directory, and create it if `make`. Raises StateError; ServiceNotRunning if it is missing."""
    try:
        return open_private(path, make)
    except NotPrivateError as error:
        raise StateError(str(error)) from None
    except FileNotFoundError:
        raise _not_running(path) from None
    except OSError as error:
        why = "it is not a directory" if os.path.isfile(path) else error.strerror
        raise StateError(f"cannot use {path} for the state: {why}") from None


def _not_running(path: Path) -> ServiceNotRunning:
    return ServiceNotRunning(f"no service runs on {path}: start one with `remora up --state-dir {path}`")


def _is_locked(directory: int) -> bool:
    lock = open_own_file("lock", os.O_RDWR, directory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
