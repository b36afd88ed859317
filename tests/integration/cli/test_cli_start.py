"""What a short command imports: start-up is felt, and modules are what it is made of.

Counting modules is exact where a stopwatch is not. The bar itself is half of the time of Manta's
own client; see the decision about a command's first connection.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.model.credentials.httpsig import PublicKey
from tests.support.services.cli_service import ROOT, write_key
from tests.support.services.plain_manta import Manta, Reply, manta

# Each of these takes longer to import than a whole request takes.
SLOW = {"asyncio", "http.client", "email", "urllib.request", "ssl", "logging", "multiprocessing", "xml", "sqlite3"}
# These take about a millisecond each, as does a dataclass that is frozen.
IDLE = {
    "click.shell_completion",
    "encodings.idna",
    "http",
    "locale",
    "pathlib",
    "shutil",
    "signal",
    "subprocess",
    "tempfile",
}
LIST = {"mls": [], "mjob": ["list"]}
SPY = """
import json, sys
import cli.frame, cli.main
finish = cli.frame.finish
def told(program, code):
    modules = {name: module for name, module in sys.modules.items() if module}
    ours = [module for name, module in modules.items() if name.startswith(("cli", "scheduler"))]
    made = [repr(each) for module in ours for each in vars(module).values() if hasattr(each, "__dataclass_fields__")]
    print(json.dumps([*modules, *made]), file=sys.stderr)
    finish(program, code)
cli.frame.finish = told
cli.main.run(sys.argv.pop(1))
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Manta]:
    with manta() as running:
        listing = {"content-type": "application/x-json-stream; type=directory"}
        for path in ("/jill/stor", "/jill/jobs"):
            running.replies[f"HEAD {path}"] = [Reply(headers=listing)]
            running.replies[f"GET {path}"] = [Reply(body=b'{"name":"a","type":"directory"}\n', headers=listing)]
        yield running


def imported(program: str, env: dict[str, str]) -> set[str]:
    """The modules that a listing has imported when it ends, and the dataclasses of ours that it has made.

    It must have printed the one name that there is.
    """
    words = [sys.executable, "-c", SPY, program, *LIST[program]]
    done = subprocess.run(words, env={**env, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "a/\n"), done
    return set(json.loads(done.stderr))


def foreign(modules: set[str]) -> set[str]:
    """The packages among them that are neither Python's nor ours."""
    known = sys.stdlib_module_names | {"__main__", "cli", "scheduler"}
    tops = {name.partition(".")[0] for name in modules}
    return {top for top in tops - known if not top.startswith(("_", "sitecustomize", "pkg_resources"))}


@pytest.mark.parametrize("program", LIST)
def test_a_listing_within_a_task_needs_neither_cryptography_nor_httpx(service: Manta, program: str) -> None:
    modules = imported(program, service.environ())
    assert foreign(modules) == {"click"}
    assert modules & (SLOW | IDLE) == set()


@pytest.mark.parametrize("program", LIST)
def test_a_signed_listing_needs_cryptography_besides(service: Manta, program: str, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    key = PublicKey.parse(write_key(tmp_path / ".ssh/id_ed25519"))
    env = {"MANTA_URL": service.url, "MANTA_USER": "jill", "MANTA_KEY_ID": key.md5, "HOME": str(tmp_path)}
    modules = imported(program, env)
    assert foreign(modules) == {"click", "cryptography"}
    assert modules & (SLOW | IDLE) == set()
