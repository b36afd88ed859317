"""The check of the lock file against advisories, on answers as OSV gives them."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
LOCK = """\
aiohttp==3.14.0 \\
    --hash=sha256:00 \\
    --hash=sha256:01
psycopg[binary]==3.3.0 ; sys_platform == "linux" \\
    --hash=sha256:02
    # via remora (pyproject.toml)
"""

found = spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
assert found is not None
assert found.loader is not None
audit = module_from_spec(found)
found.loader.exec_module(audit)


def client(*answers: httpx.Response | Exception) -> tuple[httpx.Client, list[dict[str, object]]]:
    """A client of an OSV that gives these answers, and what it was asked."""
    asked: list[dict[str, object]] = []
    coming = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.extend(json.loads(request.content)["queries"])
        given = next(coming)
        if isinstance(given, Exception):
            raise given
        return given

    return httpx.Client(transport=httpx.MockTransport(answer)), asked


def results(*each: dict[str, object]) -> httpx.Response:
    return httpx.Response(200, json={"results": list(each)})


ADVISORY = {"vulns": [{"id": "GHSA-xxxx-1", "modified": "2026-01-01T00:00:00Z"}]}


def test_every_package_of_the_lock_is_asked_for_by_name_and_version() -> None:
    osv, asked = client(results({}, {}))
    assert audit.judged(LOCK, osv, {}) == (["audit: 2 packages, no advisory"], 0)
    assert asked == [
        {"package": {"name": "aiohttp", "ecosystem": "PyPI"}, "version": "3.14.0"},
        {"package": {"name": "psycopg", "ecosystem": "PyPI"}, "version": "3.3.0"},
    ]


def test_the_real_lock_pins_every_package_that_it_has() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert len(audit.pinned(lock)) == sum("==" in line for line in lock.splitlines())


def test_an_advisory_is_an_error_unless_it_is_accepted() -> None:
    osv, _ = client(results({}, ADVISORY))
    lines, status = audit.judged(LOCK, osv, {})
    assert status == 1
    assert lines == ["audit: psycopg 3.3.0: GHSA-xxxx-1 (https://osv.dev/vulnerability/GHSA-xxxx-1)"]
    osv, _ = client(results({}, ADVISORY))
    assert audit.judged(LOCK, osv, {"GHSA-xxxx-1": "we do not call it"})[1] == 0


def test_answers_in_pages_are_read_to_the_end() -> None:
    osv, asked = client(results({"next_page_token": "more"}, {}), results(ADVISORY))
    assert audit.judged(LOCK, osv, {})[1] == 1
    assert asked[-1] == {**audit.query(("aiohttp", "3.14.0"), "more")}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("no such host"), httpx.ReadTimeout("silent"), httpx.Response(503),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]), httpx.Response(200, json={"results": []}),
    ],
)  # fmt: skip
def test_without_an_answer_it_is_said_in_capitals_and_is_no_error(answer: httpx.Response | Exception) -> None:
    osv, _ = client(answer)
    lines, status = audit.judged(LOCK, osv, {})
    assert status == 0
    assert lines[0].startswith("WARNING: NO ADVISORIES ARE KNOWN: THE LOCK FILE WAS NOT CHECKED (https://api.osv.dev")


def test_a_lock_without_packages_is_an_error() -> None:
    assert audit.judged("", client()[0], {})[1] == 1
