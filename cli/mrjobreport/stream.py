"""The task stream as SVG: time to the right, a row for each instance, a bar for each task that ran.

A bar is a few characters of one path for each colour, so that 10,000 tasks take 300 KB. Colours stand for phases; a
task that failed is red. Before a bar a thin line shows its fetch, after it its commit. If there are more instances than
rows fit, instances share a row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape

from scheduler.supervisor.jobs.timeline import TaskRun, Timeline

COLOURS = ("#4878a8", "#e08a3c", "#5a9e6f", "#8d6bb1", "#b58900", "#3ca5a5", "#a05a7a", "#7a7a7a")
FAILED = "#cc2222"
WIDTH, LEFT, TOP, BOTTOM = 1000, 150, 10, 30
ROW, MOST_ROWS = 12, 100
TICKS = 8
FONTS = "DejaVu Sans,Liberation Sans,Noto Sans,Arial,sans-serif"  # not every renderer knows what sans-serif is here
STEPS = (1, 2, 5)


def colour(phase: int) -> str:
    return COLOURS[phase % len(COLOURS)]


def stream(timeline: Timeline, created: int, *, alone: bool) -> str:
    """The picture; `alone`: as a file of its own. `created`: when the job was, in ms since the epoch."""
    runs = timeline.runs
    rows = sorted({(run.node, run.instance) for run in runs}, key=lambda row: (row[0], natural(row[1])))
    height = min(len(rows), MOST_ROWS) * ROW
    end = max((run.done for run in runs), default=created + 1)
    scale = (WIDTH - LEFT) / max(1, end - created)
    per_row = max(1, -(-len(rows) // MOST_ROWS))
    at = {row: number // per_row for number, row in enumerate(rows)}
    body = [*grid(end - created, scale, height), *labels(rows, per_row)]
    bars: defaultdict[str, list[str]] = defaultdict(list)
    edges: list[str] = []
    for run in sorted(runs, key=lambda one: one.started):
        y = TOP + at[run.node, run.instance] * ROW
        bars[FAILED if run.state == "failed" else colour(run.phase)].append(bar(run, created, scale, y))
        edges.append(edge(run, created, scale, y + ROW // 2))
    body.append(f'<path d="{"".join(edges)}" stroke="#999" stroke-width="1" fill="none"/>')
    body += [f'<path d="{"".join(path)}" fill="{fill}"/>' for fill, path in bars.items()]
    space = ' xmlns="http://www.w3.org/2000/svg"' if alone else ""
    total = TOP + height + BOTTOM
    return (
        f'<svg{space} viewBox="0 0 {WIDTH} {total}" width="100%" font-family="{FONTS}" font-size="10" role="img">'
        f"<title>tasks by instance and time</title>{''.join(body)}</svg>\n"
    )


def bar(run: TaskRun, created: int, scale: float, y: int) -> str:
    x, width = LEFT + (run.started - created) * scale, max(0.5, run.run * scale)
    return f"M{number(x)} {y + 1}h{number(width)}v{ROW - 2}h-{number(width)}z"


def edge(run: TaskRun, created: int, scale: float, y: int) -> str:
    """Fetch before the bar and commit after it, where they are wide enough to be seen."""
    lines = ""
    for begin, length in ((run.leased, run.fetch), (run.ended, run.commit)):
        if length * scale >= 1:
            lines += f"M{number(LEFT + (begin - created) * scale)} {y}h{number(length * scale)}"
    return lines


def number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def natural(name: str) -> tuple[int, str]:
    digits = "".join(c for c in name if c.isascii() and c.isdigit())[:12]
    return int(digits or 0), name


def grid(span: int, scale: float, height: int) -> list[str]:
    """Vertical lines at round times, with their seconds below."""
    step = step_of(span)
    found = []
    for at in range(0, span + 1, step):
        x = number(LEFT + at * scale)
        found.append(f'<path d="M{x} {TOP}v{height}" stroke="#ddd"/>')
        text = f"{at / 1000:g} s"
        found.append(f'<text x="{x}" y="{TOP + height + 14}" text-anchor="middle">{text}</text>')
    return found


def step_of(span: int) -> int:
    """The round number of ms that divides a span into about `TICKS`."""
    power = 1
    while True:
        for step in STEPS:
            if step * power * TICKS >= span:
                return step * power
        power *= 10


def labels(rows: Sequence[tuple[str, str]], per_row: int) -> list[str]:
    """The names of nodes and instances, at the left."""
    found = []
    for number_of_row, start in enumerate(range(0, len(rows), per_row)):
        node, instance = rows[start]
        name = f"{node} {instance[:8]}" + (f" +{per_row - 1}" if per_row > 1 else "")
        y = TOP + number_of_row * ROW + ROW - 3
        found.append(f'<text x="{LEFT - 5}" y="{y}" text-anchor="end">{escape(name[:26])}</text>')
    return found
