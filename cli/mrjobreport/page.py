"""The report as one page of HTML: it loads nothing, runs no script, and every name in it is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from cli.jobs.cost import HEADS, in_cells
from cli.mrjobreport.stream import FAILED, colour, stream
from scheduler.common.display import is_harmless

if TYPE_CHECKING:
    from scheduler.service.operators.job_record import JobRecord

PARTS = {"queue": "#bbbbbb", "fetch": "#e0c050", "run": "#4878a8", "commit": "#5a9e6f"}
MEANINGS = "queue: until an agent takes it; fetch: its input and an instance; run; commit: durable, and named"
MAX_NAME = 300
STYLE = """
body { font: 14px/1.4 sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: .5em 0; } td, th { padding: .15em .8em; text-align: right; }
th { border-bottom: 1px solid #999; font-weight: normal; color: #666; } td.name, th.name { text-align: left; }
td.name { max-width: 40em; overflow-wrap: anywhere; } h2 { margin-top: 1.5em; font-size: 1.2em; }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; } .note { color: #666; }
.bar { display: flex; height: 1.2em; width: 100%; margin: .2em 0 .6em; } .bar span { display: block; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(found: JobRecord, numbers: dict[str, Any]) -> str:
    """The report. `numbers`: as `mrjobreport --json` prints them."""
    title = f"job {found.uuid}"
    ran = any(phase["ran"] for phase in numbers["phases"])
    sections = [
        heading(found, numbers),
        section("What it took", cost(numbers), "GB·s: the time of the tasks times the memory of their instances"),
        *(performance(found, numbers) if ran else ["<p>No task of it has ended yet.</p>"]),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{shown(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head>\n'
        f"<body><h1>{shown(title)}</h1>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def performance(found: JobRecord, numbers: dict[str, Any]) -> list[str]:
    sample = f"{numbers['sampled']} of {numbers['tasks']} tasks" if numbers["sampled"] else ""
    return [
        section("Task stream", legend(found) + stream(found.timeline, found.created, alone=False), sample),
        section("Where the time of its tasks went", times(numbers), MEANINGS),
        section(
            "Critical path",
            tasks(numbers["critical_path"]),
            "what the end of the job waited for: each task became ready after the one above it",
        ),
        section(
            "Stragglers",
            tasks(numbers["stragglers"]) if numbers["stragglers"] else "<p>None.</p>",
            "ran more than twice as long as the median of their phase, and a second longer",
        ),
        section("Nodes", nodes(numbers["nodes"])),
    ]


def shown(value: object) -> str:
    """A text as HTML: names are chosen by users."""
    text = "".join(c if is_harmless(c) else c.encode("unicode_escape").decode() for c in str(value))
    return escape(text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}…")


def section(title: str, body: str, note: str = "") -> str:
    return f"<h2>{title}</h2>\n" + (f'<p class="note">{shown(note)}</p>\n' if note else "") + body


def heading(found: JobRecord, numbers: dict[str, Any]) -> str:
    stats = numbers["stats"]
    state = "cancelled" if numbers["cancelled"] else numbers["state"]
    facts = [
        ("account", numbers["owner"]),
        ("name", numbers["name"] or "—"),
        ("state", state),
        ("created", numbers["created"]),
        ("done", numbers["done"] or "—"),
        ("tasks", f"{stats['tasksDone']} of {stats['tasks']}, retried {stats['retries']} times"),
        ("results", f"{stats['outputs']} outputs, {stats['errors']} errors"),
        *((f"phase {at}", f"{phase['type']}: {phase['exec']}") for at, phase in enumerate(found.status["phases"])),
    ]
    rows = "".join(f'<tr><td class="name">{shown(n)}</td><td class="name">{shown(v)}</td></tr>' for n, v in facts)
    return f"<table>{rows}</table>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], names: Sequence[int] = (0,)) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag} class=name>{shown(cell)}</{tag}>" if at in names else f"<{tag}>{shown(cell)}</{tag}>"
            for at, cell in enumerate(row)
        )

    return f"<table><tr>{cells('th', heads)}</tr>" + "".join(f"<tr>{cells('td', r)}</tr>" for r in rows) + "</table>"


def cost(numbers: dict[str, Any]) -> str:
    total = numbers["total"]
    dollars = "dollars" in total
    heads = [*HEADS, *(["$"] if dollars else [])]
    return table(heads, [in_cells(row, dollars) for row in [*numbers["cost"], total]], names=(0, 1))


def legend(found: JobRecord) -> str:
    keys = [(colour(at), f"phase {at}") for at in range(len(found.phases))] + [(FAILED, "failed")]
    return "<p>" + "".join(f'<span class="key" style="background:{fill}"></span>{name}' for fill, name in keys) + "</p>"


def times(numbers: dict[str, Any]) -> str:
    rows, bars = [], []
    for phase in numbers["phases"]:
        if not phase["ran"]:
            continue
        for name in PARTS:
            part = phase[name]
            stats = (seconds(part[key]) for key in ("sum", "median", "p95", "max"))
            rows.append((f"phase {phase['phase']}", name, *stats))
        whole = sum(phase[name]["sum"] for name in PARTS) or 1
        pieces = "".join(
            f'<span style="background:{fill};width:{phase[name]["sum"] * 100 / whole:.2f}%"></span>'
            for name, fill in PARTS.items()
        )
        bars.append(f'phase {phase["phase"]}<div class="bar">{pieces}</div>')
    keys = "".join(f'<span class="key" style="background:{fill}"></span>{name}' for name, fill in PARTS.items())
    heads = ("phase", "part", "sum", "median", "95 %", "longest")
    return f"<p>{keys}</p>{''.join(bars)}{table(heads, rows, names=(0, 1))}"


def tasks(found: Sequence[dict[str, Any]]) -> str:
    heads = ("phase", "task", "node", "ready at", *PARTS, "× median")
    rows = [
        (
            str(one["phase"]),
            one.get("input") or one.get("task") or "—",
            one["node"],
            seconds(one["at"]),
            *(seconds(one[name]) for name in PARTS),
            str(one.get("times_median", "")),
        )
        for one in found
    ]
    return table(heads, rows, names=(1, 2))


def nodes(found: Sequence[dict[str, Any]]) -> str:
    whole = sum(one["run"] for one in found) or 1
    rows = [(one["node"], str(one["tasks"]), seconds(one["run"]), f"{one['run'] * 100 / whole:.1f} %") for one in found]
    return table(("node", "tasks", "running", "share"), rows)


def seconds(ms: float) -> str:
    return f"{ms / 1000:.3f} s" if ms < 10_000 else f"{ms / 1000:.1f} s"
