"""Tables on stdout: columns as wide as what is in them, two blanks apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def lines(rows: Sequence[Sequence[str]], *, left: Collection[int] = (), width: int | None = None) -> list[str]:
    """The rows as lines. Cells stand at the right but in the columns `left`; a line is cut at `width`."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    made = (
        "  ".join(cell.ljust(size) if at in left else cell.rjust(size) for at, (cell, size) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    )
    return [line[:width].rstrip() for line in made]
