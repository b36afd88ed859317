"""The page on security: each cell of its table says what holds and names tests that exist, or what to do instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "security.md").read_text()
MODES = ["user", "root", "containers", "none", "cluster"]
VERDICT = re.compile(r"(holds|in part|does not): (\S.*)")
TEST = re.compile(r"`((?:tests/[\w/]+/)?test_\w+)`")


def table() -> dict[str, list[str]]:
    """Cells of the table of boundaries, by boundary."""
    _, _, section = PAGE.partition("## Boundaries")
    rows = [line.strip("|").split(" | ") for line in section.partition("\n## ")[0].splitlines() if line[:1] == "|"]
    assert [word.strip() for word in rows[0]] == ["boundary", *MODES]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[2:]}


ATTACKS = {path.stem: path for path in (ROOT / "tests" / "security").rglob("test_*.py")}


def file_of(test: str) -> Path:
    return ROOT / f"{test}.py" if "/" in test else ATTACKS.get(test, ROOT / "missing")


@pytest.mark.parametrize("boundary", table())
def test_each_mode_of_a_boundary_has_a_verdict_with_its_tests(boundary: str) -> None:
    cells = table()[boundary]
    assert len(cells) == len(MODES)
    for mode, cell in zip(MODES, cells, strict=True):
        match = VERDICT.match(cell)
        assert match is not None, (mode, cell)
        assert match[1] == "does not" or TEST.search(cell), (mode, cell)


def test_tests_that_are_named_are_there() -> None:
    missing = [test for test in TEST.findall(PAGE) if not file_of(test).is_file()]
    assert missing == []


def test_no_attack_is_left_out() -> None:
    named = {Path(file_of(test)).name for test in TEST.findall(PAGE)}
    assert {path.name for path in ATTACKS.values()} - named == set()
