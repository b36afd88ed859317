"""No text of a stranger costs more than its length: every regular expression and every parser, on hostile texts.

The regular expressions are found by themselves: those that a module keeps, and those that are written where they are
used. So a new one is tried without anybody's doing. Time is the processor's, so a busy machine does not count.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from multidict import CIMultiDict

import cli
import datapath
import scheduler
from scheduler.gateway import app, node_credentials
from scheduler.gateway.access import authentication
from scheduler.gateway.access.tokens import Tokens
from scheduler.gateway.storage import headers, listing
from scheduler.http import ranges, role_headers, upload
from scheduler.model import dates, job, names, semver
from scheduler.model.credentials import httpsig, tickets
from scheduler.objects import conditions
from scheduler.objects import headers as kept
from tests.support.hostile import pumping

SIZE = 8192  # a line of a request, a header
SECONDS = 0.05
# Never given a text of another's: statements of ours, our own manual, a regular expression that a user searches with.
OWN_TEXTS = {
    "scheduler.records.postgres.dialect": "statements and migrations of ours",
    "scheduler.records.queries": "files of statements of ours",
    "cli.roff": "the manual",
    "cli.manual": "the manual",
    "datapath.build": "headers of ours",
    "cli.service.cluster.jobfiles": "job files of the operator",
    "cli.commands.mfind": "what the user looks for, on the user's machine",
}
METHODS = ("match", "fullmatch", "search", "sub", "split", "findall", "finditer")


def modules() -> Iterator[ModuleType]:
    for package in (scheduler, cli, datapath):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if "tests" not in found.name and not found.name.endswith("__main__"):
                try:
                    yield importlib.import_module(found.name)
                except ImportError:  # what an optional dependency is needed for
                    continue


def kept_patterns(module: ModuleType) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Those that a module, a class of it, or a list or table in either holds."""

    def walk(name: str, value: object, depth: int) -> Iterator[tuple[str, re.Pattern[Any]]]:
        if isinstance(value, re.Pattern):
            yield name, value
        elif isinstance(value, list | tuple | set | frozenset) and depth:
            for each in value:
                yield from walk(name, each, depth - 1)
        elif isinstance(value, dict) and depth:
            for key, each in value.items():
                yield from walk(f"{name}[{key!r}]", each, depth - 1)
        elif inspect.isclass(value) and value.__module__ == module.__name__ and depth:
            for key, each in vars(value).items():
                yield from walk(f"{name}.{key}", each, depth - 1)

    for name, value in vars(module).items():
        yield from walk(name, value, 4)


def written_patterns(module: ModuleType, tree: ast.AST) -> Iterator[tuple[str, str, Any]]:
    """`re.METHOD(…)` with the pattern in its place: where, the method, the pattern (a text, or the tree of another)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            of = node.func.value
            if isinstance(of, ast.Name) and of.id == "re" and node.func.attr in METHODS:
                first = node.args[0]
                if isinstance(first, ast.Name) and isinstance(vars(module).get(first.id), str):
                    yield f"{module.__name__}:{node.lineno}", node.func.attr, vars(module)[first.id]
                else:
                    text = first.value if isinstance(first, ast.Constant) else first
                    yield f"{module.__name__}:{node.lineno}", node.func.attr, text


@functools.cache
def patterns() -> dict[str, tuple[re.Pattern[Any], list[str]]]:
    """Every pattern that strangers' texts may meet, with the methods that it is used with."""
    found: dict[str, tuple[re.Pattern[Any], list[str]]] = {}
    for module in modules():
        if module.__name__ in OWN_TEXTS:
            continue
        file = Path(module.__file__ or "")
        source = file.read_text() if file.suffix == ".py" else ""
        for name, pattern in kept_patterns(module):
            used = re.findall(rf"\b{re.escape(name)}\.({'|'.join(METHODS)})\(", source)
            found[f"{module.__name__}.{name}"] = pattern, sorted(set(used)) or ["match", "fullmatch"]
        for where, method, text in written_patterns(module, ast.parse(source)):
            assert isinstance(text, str | bytes), f"{where}: a pattern that is made here cannot be tried: keep it"
            found[where] = re.compile(text), [method]
    return found


def seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    try:
        work()
    except Exception as error:  # a refusal is as good as an answer, if it comes soon
        assert not isinstance(error, RecursionError | MemoryError)
    return time.thread_time() - began


def dear(work: Callable[[], object], allowed: float = SECONDS) -> bool:
    """Whether it takes too long, three times in a row: once may be a collection of garbage."""
    return all(seconds(work) > allowed for _ in range(3))


def dear_text(pattern: re.Pattern[Any], method: str) -> str | None:
    for text in pumping.texts(pattern, SIZE):
        subject: Any = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
        call = functools.partial(
            getattr(pattern, method), *([b"" if isinstance(subject, bytes) else ""] * (method == "sub"))
        )
        if dear(lambda: list(call(subject) or ()) if method == "finditer" else call(subject)):  # noqa: B023
            return f"{text[:40]!r}… ({len(text)} characters)"
    return None


def test_all_patterns_are_found():
    assert {"scheduler.model.credentials.httpsig.PARAMETER", "scheduler.objects.headers.DISPOSITION"} <= set(patterns())
    assert any(":" in name for name in patterns())


def test_no_pattern_is_dear():
    dear = {
        f"{name}: {pattern.pattern!r}.{method}": text
        for name, (pattern, methods) in patterns().items()
        for method in methods
        if (text := dear_text(pattern, method)) is not None
    }
    assert not dear


@pytest.mark.parametrize(
    "source",
    [
        r"\s*([v=\s]*\d+)\s+-\s+([v=\s]*\d+)\s*\Z",  # quartic: version ranges were read so
        r"(a|a)*\Z",
        r"(\w+\s?)*\Z",
        r"x*x*\Z",
    ],
)
def test_a_dear_pattern_is_told_from_others(source: str):
    pattern = re.compile(source)
    assert any(seconds(lambda: pattern.match(text)) > SECONDS for text in short_of_forever(pattern))  # noqa: B023


def short_of_forever(pattern: re.Pattern[str]) -> Iterator[str]:
    """Its hostile texts, from sizes at which even the worst pattern ends."""
    for size in (16, 20, 22, 24, 26, 100, 200, 400, 1000, 4000, 16_000, 64_000):
        yield from pumping.texts(pattern, size)


# Parsers: what each is given by whoever it is given by, and how much of it may come.

PIECES = [
    *(
        " ",
        "\t",
        "a",
        "0",
        "1",
        "9",
        "-",
        ".",
        ",",
        ";",
        ":",
        "/",
        "//",
        "/..",
        "/./",
        "%",
        "%2",
        "%2f",
        "%ff",
        "=",
        "==",
    ),
    *(
        "&",
        "&&",
        "a=",
        "a=b&",
        "&a",
        "+",
        "%00",
        '"',
        "\\",
        '"a"',
        'a="b",',
        "q=0.0",
        ";q=0",
        "*/*,",
        "x",
        "v",
        "~",
        "^",
    ),
    *(
        ">=",
        "||",
        "1 - ",
        "[",
        "{",
        "[[",
        '{"a":',
        "W/",
        "é",
        "\U0001f600",
        "\x00",
        "\n",
        "\r",
        "٣",
        "1,",
        "bytes=",
        "0-",
    ),
    *("Mon, ", "T", "Z", "Signature "),
]
ENDS = ["", "\0", "!", "1", " 1 -", '"', "="]


def hostile(size: int) -> Iterator[str]:
    """One piece after another, alone and in pairs, with different ends."""
    for piece in PIECES:
        for end in ENDS:
            yield piece * (size // len(piece)) + end
    for piece in PIECES[::5]:
        for other in PIECES:
            yield (piece + other) * (size // len(piece + other))


def parse_page(text: str) -> object:
    return listing.parse_page({"marker": text, "sort": "mtime", "limit": text})


def conditions_of(text: str) -> object:
    found = conditions.Conditions.of(CIMultiDict({"If-Match": text, "If-Modified-Since": text}))
    assert found.if_match is not None
    return conditions.matches(found.if_match, "etag")


PARSERS: dict[str, Callable[[str], object]] = {
    "version range": semver.parse_range,
    "Accept-Version": app.admits_our_version.__wrapped__,
    "request path": names.from_request,
    "line of input": lambda text: names.from_input_line("/" + text),
    "ancestors": lambda text: names.ancestors(names.from_request(text[: names.MAX_PATH_BYTES])),
    "Date": dates.parse_rfc1123,
    "time marker": dates.parse_iso,
    "Authorization": httpsig.parse_authorization,
    "signed headers": lambda text: httpsig.parse_authorization(f'keyId="a",algorithm="b",headers="{text}"'),
    "key id": httpsig.parse_key_id,
    "public key": httpsig.PublicKey.parse.__wrapped__,
    "query": app.parse_query,
    "presigned query": lambda text: httpsig.presigned_text("GET", text, text, app.parse_query(text).items()),
    "token": lambda text: Tokens(b"secret").verify(text, 0),
    "credential": lambda text: node_credentials.verify("key", "Bearer " + text),
    "ticket": lambda text: tickets.opens("key", "blob", text),
    "Range": lambda text: ranges.parse_range("bytes=" + text, 1000),
    "Accept": lambda text: headers.acceptable(text, "text/plain"),
    "preflight": lambda text: headers.preflight(
        dict.fromkeys(kept.CORS, text),
        {"Origin": text, "Access-Control-Request-Method": text, "Access-Control-Request-Headers": text},
    ),
    "kept headers": lambda text: kept.stored({"content-disposition": text, "cache-control": text, "m-x": text}),
    "disposition parameters": lambda text: kept.disposition("attachment; filename=" + text),
    "content type": lambda text: kept.content_type({"content-type": text}),
    "kind": lambda text: kept.requested_kind({"content-type": "application/json;" + text}),
    "durability": lambda text: kept.copies({"durability-level": text}),
    "Content-MD5": lambda text: upload.content_md5({"Content-MD5": text}),
    "max-content-length": lambda text: upload.max_content_length({"max-content-length": text}),
    "Role-Tag": role_headers.words,
    "conditions": conditions_of,
    "page": parse_page,
    "job name": lambda text: job.parse_job({"name": text, "phases": [{"exec": text}]}),
    "count": lambda text: job.parse_job({"phases": [{"type": "reduce", "exec": "a", "count": text}]}),
    "image": lambda text: job.parse_job({"phases": [{"exec": "a", "image": text}]}),
}  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
def test_no_parser_is_dear(name: str):
    parse = PARSERS[name]
    for text in hostile(SIZE):
        assert not dear(lambda: parse(text)), f"{name}: {text[:40]!r}…"  # noqa: B023


@pytest.mark.parametrize("text", ["[", '{"a":', "[{}," * 9 + "[", "1", "1e", "-1.", '"\\u0000', '"\\ud800'])
def test_no_job_document_is_dear(text: str):
    body = (text * 100_000)[:100_000]
    for closed in (body, f'{{"phases":[{{"exec":"a","uarg":{{"a":"{body[:90_000]}"}}}}]}}'):
        assert not dear(lambda: job.parse_job(job.decode_job(closed.encode())), 0.5)  # noqa: B023


def test_a_range_of_versions_that_took_half_a_minute_is_refused_at_once():
    text = f"1||{' ' * 1350}1 -{' ' * 1350}y"
    assert not dear(lambda: app.admits_our_version.__wrapped__(text), 0.01)
    assert app.admits_our_version.__wrapped__(text) is False


def test_the_callers_of_presigned_urls_are_told_from_others_in_time():
    class Request:
        raw_path = "/x?" + "a&" * (SIZE // 2)

    assert not dear(lambda: authentication.is_presigned(Request()))  # type: ignore[arg-type]
