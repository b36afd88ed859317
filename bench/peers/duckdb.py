"""DuckDB, an analytic database in this process: its `ORDER BY` on lines of text files.

It is left out where the package is not installed (`pip install duckdb`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

CORES = 2
NAME = f"DuckDB ORDER BY, {CORES} cores"
WHOLE_LINE = "line"
NUMBER = "CAST(split_part(line, chr(9), 1) AS BIGINT), line"
# One column: the separator is a byte that no line has.
TEXT = "delim {0} '\1', quote {0} '', escape {0} '', header {0} false"


def is_installed() -> bool:
    return importlib.util.find_spec("duckdb") is not None


def sort(files: Sequence[Path], target: Path, order: str, memory: str) -> None:
    """Sort the lines of some files into another one, in a database of its own, within `memory`."""
    package: Any = import_module("duckdb")
    settings = {"threads": CORES, "memory_limit": memory, "temp_directory": f"{target}.duckdb"}
    with package.connect(config=settings) as database:
        names = ", ".join(quoted(file) for file in files)
        lines = f"read_csv([{names}], columns = {{'line': 'VARCHAR'}}, auto_detect = false, {TEXT.format('=')})"
        options = f"FORMAT csv, {TEXT.format('')}"
        database.execute(f"COPY (SELECT line FROM {lines} ORDER BY {order}) TO {quoted(target)} ({options})")


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
