"""The check of requirements.lock against known advisories: `./dev audit`, which `./dev lint` runs too.

Every package of the lock is asked for at OSV (https://osv.dev), which has the advisories of PyPI and of GitHub, in one
request. A package with an advisory is an error, unless `ACCEPTED` says why it does not concern us. Where OSV cannot be
reached nothing is known, and that is said in capitals; it is no error, since a machine may have no way out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

LOCK = Path(__file__).parent.parent / "requirements.lock"
OSV = "https://api.osv.dev/v1/querybatch"
PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
SECONDS = 10.0
MAX_PAGES = 20
# Advisories that do not concern us, each with the reason.
ACCEPTED: Mapping[str, str] = {}


class UnreachableError(Exception):
    """There is no answer, or none that means something."""


def pinned(lock: str) -> list[tuple[str, str]]:
    """The packages of a lock file and their versions."""
    return PINNED.findall(lock)


def advisories(packages: list[tuple[str, str]], client: httpx.Client) -> dict[tuple[str, str], list[str]]:
    """The ids of the advisories of each package that has any. Raises UnreachableError."""
    found: dict[tuple[str, str], list[str]] = {}
    left = [(package, "") for package in packages]
    for _ in range(MAX_PAGES):
        if not left:
            return found
        following = []
        for (package, _), result in zip(left, ask([query(*each) for each in left], client), strict=True):
            if ids := [each["id"] for each in result.get("vulns", ())]:
                found.setdefault(package, []).extend(ids)
            if token := result.get("next_page_token"):
                following.append((package, token))
        left = following
    raise UnreachableError(f"{OSV} has no end of pages")


def query(package: tuple[str, str], page: str) -> dict[str, Any]:
    name, version = package
    more = {"page_token": page} if page else {}
    return {"package": {"name": name, "ecosystem": "PyPI"}, "version": version, **more}


def ask(queries: list[dict[str, Any]], client: httpx.Client) -> list[dict[str, Any]]:
    """One result for each query. Raises UnreachableError."""
    try:
        answer = client.post(OSV, json={"queries": queries}).raise_for_status().json()
        results: list[dict[str, Any]] = answer["results"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise UnreachableError(f"{OSV}: {error or type(error).__name__}") from error
    if len(results) != len(queries):
        raise UnreachableError(f"{OSV} has {len(results)} answers to {len(queries)} questions")
    return results


def judged(lock: str, client: httpx.Client, accepted: Mapping[str, str]) -> tuple[list[str], int]:
    """What is to be said, and the exit status."""
    packages = pinned(lock)
    if not packages:
        return ["audit: requirements.lock pins no package"], 1
    try:
        found = advisories(packages, client)
    except UnreachableError as error:
        return [f"WARNING: NO ADVISORIES ARE KNOWN: THE LOCK FILE WAS NOT CHECKED ({error})"], 0
    wrong = [
        f"audit: {name} {version}: {id} (https://osv.dev/vulnerability/{id})"
        for (name, version), ids in found.items()
        for id in ids
        if id not in accepted
    ]
    return wrong or [f"audit: {len(packages)} packages, no advisory"], 1 if wrong else 0


def main() -> int:
    with httpx.Client(timeout=SECONDS) as client:
        lines, status = judged(LOCK.read_text(), client, ACCEPTED)
    print("\n".join(lines), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
