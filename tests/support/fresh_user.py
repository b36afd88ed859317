"""A user of this machine that nobody was before, with a fresh clone of this tree: for whoever is root.

The clone has what is committed. The user finds Debian's own Python, not that of the developer, and is removed with
all that it has when the block ends.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# How packages are had here: where the index is, and what certificates it has.
KEPT = ("PIP_", "SSL_CERT", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True)
class FreshUser:
    name: str
    home: Path

    @property
    def clone(self) -> Path:
        return self.home / "remora"

    @property
    def env(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
        own = {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name, "LANG": "C.UTF-8"}
        return {**kept, **own, "PATH": "/usr/local/bin:/usr/bin:/bin", "SHELL": "/bin/bash"}

    def command(self, *words: str) -> list[str]:
        """What runs a command as this user, with nothing of our environment."""
        become = ["setpriv", "--reuid", self.name, "--regid", self.name, "--init-groups", "env", "-i"]
        return [*become, *(f"{name}={value}" for name, value in self.env.items()), *words]

    def run(self, *words: str, cwd: Path | None = None) -> int:
        return subprocess.run(self.command(*words), cwd=cwd or self.home).returncode


@contextmanager
def fresh_user() -> Iterator[FreshUser]:
    name = f"remora-{os.getpid()}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", name], check=True)
    user = FreshUser(name, Path(pwd.getpwnam(name).pw_dir))
    try:
        subprocess.run(["git", "clone", "--quiet", "--no-local", str(ROOT), str(user.clone)], check=True)
        subprocess.run(["chown", "-R", f"{name}:", str(user.clone)], check=True)
        yield user
    finally:
        end_all(pwd.getpwnam(name).pw_uid)
        subprocess.run(["userdel", name], check=True)
        shutil.rmtree(user.home)


def end_all(uid: int) -> None:
    """End what runs as this user still."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                os.kill(int(entry.name), signal.SIGKILL)
