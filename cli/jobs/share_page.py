"""The page that `mjob share` makes.

Names, outputs and errors are written by other people than the page's readers: every text is escaped,
and the page tells the browser to run and to load nothing.

Small jobs are shown whole. Of larger ones the page has the first inputs, outputs and errors, and of each object
the beginning, so that it is a page in any case.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from cli.client.problem import Problem
from cli.text import count, printable

if TYPE_CHECKING:
    from cli.client.jobs import Jobs, Status

MAX_OBJECTS = 50  # inputs and outputs together
MAX_BYTES = 10_240  # shown of each
MAX_ERRORS = 10
STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; }
pre { background: #f4f4f4; padding: .6em; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
th { text-align: left; padding-right: 1em; font-weight: normal; color: #666; vertical-align: top; }
"""


def render(mine: Jobs, status: Status, readme: str) -> str:
    """The HTML of a job's page. Raises `Problem` if its lists cannot be read."""
    title = status["name"] or f"job {status['id']}"
    records = partial(mine.records, status["id"])
    body = [
        f"<h1>{escape(title)}</h1>",
        preformatted(readme) if readme else "",
        facts(status),
        "<h2>Phases</h2>",
        *(phase(number, each) for number, each in enumerate(status["phases"])),
        section("Inputs", records("in"), MAX_OBJECTS // 2, partial(thing, mine)),
        section("Outputs", records("out"), MAX_OBJECTS // 2, partial(thing, mine)),
        section("Errors", records("err"), MAX_ERRORS, error) if status["stats"]["errors"] else "",
    ]
    return document(title, "\n".join(part for part in body if part))


def section(heading: str, lines: Iterator[bytes], most: int, shown: Callable[[bytes], str]) -> str:
    """The first lines of a list, each as `shown` has it."""
    first = list(islice(lines, most + 1))
    more = f" (the first {most})" if len(first) > most else ""
    return f"<h2>{heading}{more}</h2>\n" + ("\n".join(shown(line) for line in first[:most]) or "<p>none</p>")


def document(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def facts(status: Status) -> str:
    stats = status["stats"]
    rows = [
        ("job", status["id"]),
        ("created", status["timeCreated"]),
        ("done", status.get("timeDone", "")),
        ("tasks", str(stats["tasks"])),
        ("outputs", str(stats["outputs"])),
        ("errors", str(stats["errors"])),
    ]
    return table(rows)


def escape(content: str) -> str:
    """A text of strangers in HTML, control characters as escapes."""
    return html.escape(printable(content))


def table(rows: Iterable[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows) + "</table>"


def phase(number: int, properties: dict[str, Any]) -> str:
    """One phase: its command, and what else it says."""
    rest = {key: value for key, value in properties.items() if key not in ("exec", "init", "type", "uarg")}
    rows = [(key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)) for key, value in rest.items()]
    init = f"<p>init</p>{preformatted(properties['init'])}" if properties.get("init") else ""
    heading = f"<h3>{number}: {escape(str(properties['type']))}</h3>"
    return heading + preformatted(properties["exec"]) + init + (table(rows) if rows else "")


def thing(mine: Jobs, name: bytes) -> str:
    """An object, with its beginning."""
    return f"<h3>{escape(text(name))}</h3>{beginning(mine, text(name))}"


def beginning(mine: Jobs, path: str) -> str:
    """The first bytes of an object as text, or why there are none."""
    try:
        reply = mine.session.call("GET", path, headers={"range": f"bytes=0-{MAX_BYTES - 1}"})
    except Problem as problem:
        return f"<p>{escape(str(problem))}</p>"
    data = reply.content[:MAX_BYTES]
    if b"\0" in data:
        return "<p>not a text</p>"
    size = int(reply.headers.get("content-range", "").rpartition("/")[2] or len(reply.content))
    more = f"<p>and {count(size - len(data), 'byte')} more</p>" if size > len(data) else ""
    return preformatted(text(data)) + more


def error(line: bytes) -> str:
    record = json.loads(line)
    return preformatted(f"{record.get('code')}: {record.get('message')}\n{record.get('what', '')}")


def text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def preformatted(content: str) -> str:
    return f"<pre>{escape(content)}</pre>"
