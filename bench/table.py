"""The table: lines as text, and as JSON for comparing runs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.measure import Bar, Line

HEADINGS = ("what", "ours", "peer", "ratio (lowest-highest)", "bar", "goal", "")


def render(lines: Sequence[Line]) -> str:
    rows = [HEADINGS, *(cells(line) for line in lines)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def cells(line: Line) -> tuple[str, ...]:
    """The cells of a line, from left to right."""
    peer = f"{line.peer}: {number(median(line.theirs))} {line.unit}" if line.peer else "-"
    return (
        line.what,
        f"{number(median(line.ours))} {line.unit}",
        peer,
        spread(line.ratios),
        limit(line, line.bar.bar),
        limit(line, line.bar.goal),
        line.verdict,
    )


def spread(ratios: Sequence[float]) -> str:
    if not ratios:
        return "-"
    text = f"{median(ratios):.2f}x"
    return text if len(ratios) == 1 else f"{text} ({min(ratios):.2f}-{max(ratios):.2f})"


def limit(line: Line, value: float | None) -> str:
    if value is None:
        return "-"
    sign = "<=" if line.bar.at_most else ">="
    return f"{sign} {number(value)} {line.unit}" if line.bar.absolute else f"{sign} {value:g}x"


def number(value: float) -> str:
    """A number with three significant digits and separated thousands: 0.284, 87.5, 12,340."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def as_json(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """All samples, so that another evaluation needs no new measurement."""
    return [
        {
            "what": line.what,
            "unit": line.unit,
            "ours": list(line.ours),
            "peer": line.peer or None,
            "theirs": list(line.theirs),
            "figure": line.figure,
            "bar": bar_as_json(line.bar),
            "verdict": line.verdict,
        }
        for line in lines
    ]


def bar_as_json(bar: Bar) -> dict[str, Any]:
    return {"bar": bar.bar, "goal": bar.goal, "absolute": bar.absolute, "at_most": bar.at_most}
