"""The table: lines as text, and as JSON for comparing runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.measure import Bar, Line

HEADINGS = ("what", "ours", "peer", "ratio (lowest-highest)", "bar", "goal", "")


def render(lines: Sequence[Line]) -> str:
    return aligned([HEADINGS, *(cells(line) for line in lines)])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
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


@dataclass(frozen=True, slots=True)
class Measured:
    """A line with the row that it belongs to, and the share of the machine that other programs used meanwhile."""

    row: str
    line: Line
    foreign: float


def compared(measured: Sequence[Measured], earlier: Sequence[dict[str, Any]]) -> str:
    """A table of the figures beside those of an earlier run: what now is, what was, and the ratio of both."""
    known = {(line["what"], line["peer"] or ""): line["figure"] for line in earlier}
    rows = [("what", "peer", "now", "earlier", "now / earlier")]
    for line in (each.line for each in measured):
        unit = f" {line.unit}" if line.bar.absolute or not line.peer else "x"
        before = known.get((line.what, line.peer))
        was = ("-", "-") if before is None else (number(before) + unit, f"{line.figure / before:.2f}")
        rows.append((line.what, line.peer or "-", number(line.figure) + unit, *was))
    return aligned(rows)


def as_json(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """All samples, so that another evaluation needs no new measurement."""
    return [
        {
            "row": each.row,
            "foreign": round(each.foreign, 3),
            "what": line.what,
            "unit": line.unit,
            "ours": list(line.ours),
            "peer": line.peer or None,
            "theirs": list(line.theirs),
            "figure": line.figure,
            "bar": bar_as_json(line.bar),
            "verdict": line.verdict,
        }
        for each in measured
        for line in [each.line]
    ]


def bar_as_json(bar: Bar) -> dict[str, Any]:
    return {"bar": bar.bar, "goal": bar.goal, "absolute": bar.absolute, "at_most": bar.at_most}
