"""The glossary: its pages are short, they name what the engine exports, and what they name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = [(ROOT / "docs" / name).read_text() for name in ("glossary.md", "glossary-operations.md")]
GLOSSARY = "".join(PAGES)
WORDS = set(re.findall(r"`(\w+)`", GLOSSARY))
PATHS = set(re.findall(r"`([\w.]+/[\w./]*)`", GLOSSARY))


def classes_of_the_engine() -> set[str]:
    modules = [ast.parse(path.read_text()) for path in (ROOT / "scheduler/engine").rglob("*.py")]
    return {node.name for module in modules for node in module.body if isinstance(node, ast.ClassDef)}


def test_each_class_that_the_engine_exports_has_a_word() -> None:
    assert {name for name in classes_of_the_engine() if not name.startswith("_")} - WORDS == set()


def test_each_file_that_it_names_is_there() -> None:
    assert len(PATHS) > 20
    assert [path for path in PATHS if not any((ROOT / room / path).exists() for room in ("", "scheduler"))] == []


def test_it_is_short_and_the_map_begins_with_it() -> None:
    assert all(len(page.splitlines()) <= 60 for page in PAGES)
    assert "docs/glossary.md" in "".join((ROOT / "ARCHITECTURE.md").read_text().splitlines()[:4])
