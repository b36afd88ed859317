"""The state directory: what is in it, who may look, and who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

DATABASE = "remora.db"


class StateError(Exception):
    """The state directory cannot be used; a sentence that says why."""


class ServiceNotRunning(StateError):  # noqa: N818 - it is not an error of the program
    """No service runs on this state directory."""


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """Where a running service is, and its first account. `key_id` is the MD5 fingerprint with colons."""

    url: str
    login: str
    key_id: str
    state_dir: str
    pid: int
    key_file: str | None = None
    instances: str = ""  # where they come from
    public: str = ""  # URL for other machines; `url` is for this one


def read_info(state_dir: Path) -> ServiceInfo:
    """What the service on this directory says of itself. Raises ServiceNotRunning."""
    try:
        info = ServiceInfo(**json.loads((state_dir / "service.json").read_text()))
        held = _is_locked(state_dir)
    except (OSError, ValueError, TypeError):
        held = False
    if not held:
        raise ServiceNotRunning(f"no service runs on {state_dir}: start one with `remora up --state-dir {state_dir}`")
    return info


class StateDir:
    """The directory while a service holds it. Raises StateError if another one does, or it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise StateError(f"cannot use {path} for the state: it is not a directory") from None
        except OSError as error:
            raise StateError(f"cannot use {path} for the state: {error.strerror}") from None
        if path.stat().st_uid != os.geteuid():
            raise StateError(f"{path} belongs to another user: choose one of your own with --state-dir")
        path.chmod(0o700)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateError(f"a service runs on {path} already: see `remora env --state-dir {path}`") from None

    def close(self) -> None:
        (self.path / "service.json").unlink(missing_ok=True)
        os.close(self._lock)

    def secret(self, name: str) -> str:
        """The secret in file `name`, made on first use."""
        path = self.path / name
        if not path.exists():
            self.write(name, secrets.token_urlsafe(32))
        return path.read_text()

    def write(self, name: str, text: str) -> None:
        """Replace a small file at once, readable by its owner only."""
        temporary = self.path / f".{name}.new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
        temporary.rename(self.path / name)

    def announce(self, info: ServiceInfo) -> None:
        """Tell `remora env` and the command line where the service is."""
        profile = {"url": info.url, "user": info.login, "key_id": info.key_id, "key_file": info.key_file}
        self.write("client.json", json.dumps(profile, indent=2) + "\n")
        self.write("service.json", json.dumps(asdict(info), indent=2) + "\n")


def _is_locked(state_dir: Path) -> bool:
    lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
