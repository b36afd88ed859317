"""What a hostile client may send, as hypothesis draws it.

Nothing here is valid by construction, and much of it nearly is: a request is put together from
the words that the service knows (its paths, its headers and their values) and from junk, so that
it gets past the first check and fails at the fifth. `World` is a service with things to hit; its
methods send one drawn thing each, and say what must hold of the reply.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st

Headers = tuple[tuple[str, bytes], ...]
BIG = "9" * 400

# Paths.

KNOWN = (
    "/jill/stor/f", "/jill/stor/f/object", "/jill/stor/f/directory", "/jill/stor/f/directory/x", "/jill/stor/f/new",
    "/jill/public/f", "/jill/stor", "/jill", "/jill/jobs", "/bob/stor/x", "/jill/tokens", "/jill/uploads",
    "/jill/reports",
    "/ping", "/healthz", "/metrics", "/", "/_agent/v1/poll", "/_agent/v1/register", "/jill/medusa/attach/x/master",
)  # fmt: skip
JUNK_SEGMENTS = (
    "..", ".", "", "%2e%2e", "%2F", "%00", "%ff", "%c3%28", "%", "%zz", "%F0%9F%90%9F", "~~", "a" * 255, "a" * 1025,
    "x;y", "a+b", "%0d%0aX:%20y", "live", "status", "stor", "public", "*", "\\", "'", "{}", "\xe9",
)  # fmt: skip


SEGMENTS = st.sampled_from(JUNK_SEGMENTS) | st.text(max_size=8).map(quote) | st.binary(max_size=6).map(quote_from_bytes)
PARAMETERS = (
    "limit", "marker", "sort", "sort_order", "dir", "directory", "obj", "object", "metadata", "state", "status",
    "name", "wait", "end", "skip_owner_check", "algorithm", "expires", "keyId", "signature", "method", "role-tag", "x",
)  # fmt: skip
VALUES = ("", "0", "1", "-1", "1024", "1025", BIG, "\u00b2", "true", "running", "live", "done", "name", "none",
          "mtime", "reverse", "NaN", "1e3", "\0", "../x", "a b", "GET,PUT", "\U0001f41f", "1.5",
          "0x10", " 1")  # fmt: skip


def target(path: str, more: list[str], query: str) -> str:
    whole = "/".join([path.rstrip("/"), *more]) or "/"
    return f"{whole}?{query}" if query else whole


def queries(parameters: tuple[str, ...] = PARAMETERS) -> st.SearchStrategy[str]:
    value = (
        st.sampled_from(VALUES).map(quote) | st.text(max_size=6).map(quote) | st.sampled_from(["%", "%zz", "=&=", "?"])
    )
    pair = st.tuples(st.sampled_from(parameters), value).map("=".join)
    return st.just("") | st.lists(pair, max_size=3).map("&".join)


PLAIN = st.sampled_from(KNOWN[:8])
TARGETS = PLAIN | st.builds(target, st.sampled_from(KNOWN), st.lists(SEGMENTS, max_size=2), queries())

# Targets of the other forms that HTTP has (absolute, authority, asterisk), and what is none.
FOREIGN_TARGETS = st.sampled_from(
    [
        "*", "*?x", "*/jill/stor/f", "x", "jill/stor/f", "?x", "#", ":", "@", "1:19999", "1@127.0.0.1:80", "h:80",
        ":80", "h:99999999", "[::1]:80", "[::1", "http://h/ping", "http://h/jill/stor/f", "http://h:x/", "http://[::1/",
        "http://", "http:///x", "HTTP://jill:x@h/jill/stor/f", "http:ping", "file:///etc/passwd", "javascript:1",
        "\\\\h", "http://h/%ff",
    ]
) | st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="/"), min_size=1, max_size=30
)  # fmt: skip

# Headers. (Those that frame a message belong to the raw requests.)

HEADER_VALUES: dict[str, tuple[str, ...]] = {
    "content-type": ("application/json; type=directory", "application/json; type=link", "application/json",
                     "text/plain",
                     "", 'a/b; c="', "type=directory", ";;;", "application/json; type=job"),
    "location": ("/jill/stor/f/object", "/bob/stor/x", "/jill/stor/f/directory", "~~", "..", "/jill/stor/%2e%2e",
                 "http://x/y"),
    "range": ("bytes=0-", "bytes=-1", "bytes=1-0", f"bytes=0-{BIG}", "bytes=0-1,3-4", "bytes=\u00b2-", "lines=1-2",
              "bytes=--1"),
    "if-match": ("*", '"x"', "x, y", '"', ",,,"),
    "if-none-match": ("*", '"x"', "x, y", '"', "W/"),
    "if-modified-since": ("Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 99 Foo 9999 99:99:99 GMT", "0",
                          "Fri, 31 Dec 9999 23:59:59 GMT"),
    "if-unmodified-since": ("Thu, 01 Jan 1970 00:00:00 GMT", "now", "-1", "Sat, 30 Feb 2024 00:00:00 GMT"),
    "durability-level": ("0", "2", "7", "-1", "\u00b2", BIG, ""),
    "x-durability-level": ("1", "x"),
    "max-content-length": ("0", "5", "-1", "\u00b2", BIG, ""),
    "content-md5": ("1B2M2Y8AsgTpgAmY7PhCfg==", "short", "=", "\u00b2", "A" * 8000),
    "content-disposition": ("attachment; filename=x", "in line", ";", 'inline; filename="\\'),
    "accept": ("*/*", "text/x", "junk", "a/b;q=2", ";", "application/x-json-stream; type=directory"),
    "accept-version": ("*", "~1.0", "7", "x", ">=1", BIG, "1 || 2"),
    "accept-encoding": ("gzip", "identity;q=0, *;q=0"),
    "m-x": ("y", "x" * 4097, "\xff", ""),
    "m-": ("y",),
    "role": ("*", "x", ",", "\u00b2"),
    "role-tag": ("*", "x", ","),
    "cache-control": ("no-store", "\xff"),
    "surrogate-key": ("a b c",),
    "access-control-allow-origin": ("*", "http://a http://b", "\xff"),
    "access-control-max-age": ("-1", "x"),
    "origin": ("http://a", "null", "*", "\xff"),
    "access-control-request-method": ("GET", "x y"),
    "access-control-request-headers": ("a,b", ","),
    "x-request-id": ("x", "i" * 300, "\xff", ""),
    "x-auth-token": ("{}", "x"),
    "x-forwarded-for": ("127.0.0.1",),
    "x-http-method-override": ("DELETE",),
    "x-manta-stream": ("stdout", "stderr", "core", "x"),
    "x-manta-reducer": ("0", "128", "-1", "12abc", BIG, "\u00b2", ""),
    "x-manta-reference": ("true", ""),
    "user-agent": ("curl/7", "restify/1.6.0", ""),
    "content-encoding": ("gzip", "x"),
    "cookie": ("a=b; c", "\xff"),
    "te": ("trailers",),
    "cache": ("x" * 7000,),
}  # fmt: skip
# What these ask for changes what may follow on the connection.
LAST_HEADERS = {
    "connection": ("close", "upgrade", "keep-alive, x", ""),
    "upgrade": ("websocket", "h2c"),
    "expect": ("100-continue", "200-ok", ""),
}
JUNK_VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)


def header_of(values: dict[str, tuple[str, ...]]) -> st.SearchStrategy[tuple[str, bytes]]:
    known = [(name, value.encode("latin-1", "replace")) for name, many in values.items() for value in many]
    junk = st.tuples(st.sampled_from(sorted(values)), JUNK_VALUE.map(lambda text: text.encode("latin-1")))
    return st.sampled_from(known) | junk


HEADERS = st.lists(header_of(HEADER_VALUES), max_size=3).map(tuple)
LAST = st.lists(header_of(LAST_HEADERS), max_size=1).map(tuple)

# Bodies, and whole requests.

METHODS = (*("GET", "PUT", "HEAD") * 3, "POST", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "LINK", "get", "X-Y")
BODIES = (
    st.none()
    | st.sampled_from([b"", b"x", b"{}", b"null", b"\xff\n\r\n/jill/stor/f/object", b"x" * 70_000])
    | st.binary(max_size=40)
)


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Headers = ()
    body: bytes | None = None
    chunked: bool = False
    last: Headers = ()

    def encode(self, signature: dict[str, str]) -> bytes:
        """As bytes; `signature` comes first, so that nothing drawn here replaces it."""
        lines = [f"{self.method} {self.target} HTTP/1.1".encode("latin-1", "replace"), b"Host: x"]
        lines += [f"{name}: {value}".encode() for name, value in signature.items()]
        lines += [name.encode() + b": " + value for name, value in (*self.headers, *self.last)]
        if self.chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif self.body is not None:
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"", self.framed()])

    def framed(self) -> bytes:
        body = self.body or b""
        if not self.chunked:
            return body
        halves = [body[: len(body) // 2], body[len(body) // 2 :]]
        return b"".join(b"%x;e=1\r\n%b\r\n" % (len(half), half) for half in halves if half) + b"0\r\n\r\n"


def requests(targets: st.SearchStrategy[str]) -> st.SearchStrategy[Request]:
    return st.builds(Request, st.sampled_from(METHODS), targets, HEADERS, BODIES, st.booleans(), LAST)


REQUESTS = requests(TARGETS)

# Jobs.

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["", "\0", BIG])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
GOOD: dict[str, tuple[Any, ...]] = {
    "type": ("map", "reduce", "storage-map"),
    "init": ("true", ""),
    "assets": ([], ["/jill/stor/f/object"]),
    "count": (1, 128, 7),
    "memory": (128, 8192),
    "disk": (2, 1024),
    "image": ("*", ">=13.1.0", "13.1.*", "^16 || 13.x", "13.1.0 - 16", "~13"),
    "uarg": ({}, {"a": [1, {"b": None}]}),
}
EXECS = st.sampled_from(["wc", "x" * 2000, "\u00fc", "\0", ""])
GOOD_PHASES = st.fixed_dictionaries(
    {"exec": EXECS}, optional={key: st.sampled_from(values) for key, values in GOOD.items()}
)
BAD_PHASES = st.fixed_dictionaries(
    {}, optional={"exec": EXECS | JSON, "junk": JSON, **{key: st.sampled_from(GOOD[key]) | JSON for key in GOOD}}
)
PHASES = st.lists(GOOD_PHASES, min_size=1, max_size=3) | st.lists(GOOD_PHASES | BAD_PHASES, max_size=3) | JSON
DOCUMENTS = st.fixed_dictionaries({"phases": PHASES}, optional={"name": st.text(max_size=5)}) | st.fixed_dictionaries(
    {"phases": PHASES}, optional={"name": JSON, "transient": JSON, "options": JSON, "junk": JSON}
)
SPOILED = ("", "", "", "", "}", "]", " x", "\0", "\ufeff")


def spell(document: object, spoil: str, cut: int) -> bytes:
    text = json.dumps(document) + spoil
    return text[: len(text) - cut].encode("utf-8", "surrogatepass")


JOB_BODIES = st.builds(spell, DOCUMENTS, st.sampled_from(SPOILED), st.sampled_from([0, 0, 0, 0, 0, 1, 5])) | st.binary(
    max_size=30
)
LIVE = st.builds(
    lambda what, query: f"{what}?{query}",
    st.sampled_from(
        ["status", "in", "out", "fail", "err", "in", "in/end", "cancel", "usage", "tasks", "", "x", "in/x", "out/"]
    ),
    queries(("limit", "marker", "wait", "end", "x")).filter(lambda query: "wait" not in query or "wait=0" in query),
)
INPUT_LINES = st.lists(
    st.sampled_from(
        [b"/jill/stor/f/object", b"/jill", b"", b"/bob/stor/x", b"~~/stor", b"\0", b"/jill/stor/f/directory"]
    )
    | st.binary(max_size=20),
    max_size=5,
)
INPUT_BODIES = st.builds(lambda lines, end: end.join(lines), INPUT_LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]))

# HTTP that is broken.

RAW_LINES = (
    b"GET /jill/stor/f/object HTTP/1.1\r\n", b"PUT /jill/stor/f/new HTTP/1.1\r\n", b"POST /jill/jobs HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n", b"GET /ping HTTP/0.9\r\n", b"GET /ping HTTP/2.0\r\n", b"GET /ping\r\n",
    b"GET  /ping HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n",
    b"GET http://x/ping HTTP/1.1\r\n", b"GET /\xff HTTP/1.1\r\n", b"GET /ping HTTP/1.1\n",
    b"\r\nGET /ping HTTP/1.1\r\n",
)  # fmt: skip
RAW_HEADERS = (
    b"Host: x\r\n", b"Host: x\r\nHost: y\r\n", b"Content-Length: 5\r\n", b"Content-Length: +5\r\n",
    b"Content-Length: 0x5\r\n", b"Content-Length: 99999999999999999999999\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 5, 5\r\n", b"Content-Length : 5\r\n", b"Content-Length: 0\r\n", b"Connection: close\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n", b"Expect: 100-continue\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b" folded\r\n", b"X\r\n", b": x\r\n", b"A B: x\r\n", b"X: \0\r\n", b"X: a\rb\r\n", b"X: " + b"y" * 9000 + b"\r\n",
    b"X: y\n",
)  # fmt: skip
RAW_BODIES = (
    b"5\r\nhello\r\n", b"5;a=b\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"ffffffffffffffffff\r\n",
    b"-1\r\n", b"zz\r\n", b"5\r\nhelloX", b"hello", b"\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\r\n", b"\n", b"\r", b"\0",
)  # fmt: skip
RAW_PIECES = st.sampled_from(RAW_LINES + RAW_HEADERS + RAW_BODIES) | st.binary(max_size=12)
RAW_REQUESTS = st.builds(
    lambda line, headers, body: b"".join([line, *headers, b"\r\n", *body]),
    st.sampled_from(RAW_LINES),
    st.lists(st.sampled_from(RAW_HEADERS), max_size=3),
    st.lists(RAW_PIECES, max_size=2),
)
RAW = RAW_REQUESTS | st.lists(RAW_PIECES, max_size=8).map(b"".join).filter(lambda data: b"HEAD" not in data)

# Who asks.

AUTHORIZATIONS = (
    "Signature", "Signature ", "Signature keyId", 'Signature keyId=""', "Basic eDp4", "Token", "Token x",
    "Token " + "A" * 9000, "x y",
    'Signature keyId="/jill/keys/aa",algorithm="rsa-sha256",signature="AAAA"', "signature keyId=\xff",
    "Signature " + "a=b," * 500,
    'Signature keyId="/jill/keys/aa",algorithm="none",headers="",signature=""', 'Token {"a":1}', "Token \xff",
)  # fmt: skip


@dataclass(frozen=True)
class Forgery:
    """One part of a good signature replaced."""

    part: str
    value: str
    query: bool = False


PARTS = ("keyId", "algorithm", "headers", "signature", "expires", "method")
FORGERIES = st.builds(
    Forgery,
    st.sampled_from(PARTS),
    st.sampled_from(
        [
            "",
            "x",
            "/bob/keys/aa",
            "/jill/x/keys/aa",
            "rsa-sha1",
            "hmac-sha256",
            "date x",
            "AAAA",
            "====",
            BIG,
            "\u00b2",
            '"',
            "1",
        ]
    )
    | JUNK_VALUE,
    st.booleans(),
)

# Packets to the agent's socket.

U32 = st.sampled_from([0, 1, 2, 3, 4, 5, 32, 33, 48, 49, 50, 127, 128, 250, 251, 2**31 - 1, 2**31, 2**32 - 1])
NAMES = st.sampled_from(
    [
        b"",
        b"/jill/stor/f/new",
        b"/bob/stor/x",
        b"relative",
        b"/jill",
        b"/jill/stor/../..",
        b"/jill/stor/no/such",
        b"\xff",
        b"/jill/stor/a\0b",
    ]
) | st.binary(max_size=20)
HEADER_TEXTS = st.sampled_from(
    [b"", b"m-x: y\n", b"no colon", b"Bad Name: x\n", b"x: \r\n", b"m-x: \xff\n", b"content-type: a/b\n" * 3]
) | st.binary(max_size=20)


@dataclass(frozen=True)
class Packet:
    """`header`: type, flags, task. `open`: kind, flags, reducer, count; `lie` is added to the name's length."""

    header: tuple[int, int, int]
    open: tuple[int, int, int, int] | None = None
    name: bytes = b""
    headers: bytes = b""
    lie: int = 0
    rest: bytes = b""
    fds: int = 0


OPENS = st.builds(
    Packet,
    st.tuples(st.sampled_from([32, 32, 32, 33]) | U32, U32, st.just(0)),
    st.tuples(st.sampled_from([1, 2, 3, 4]) | U32, st.sampled_from([0, 1]) | U32, st.sampled_from([2**32 - 1, 0,
    1]) | U32, U32),
    NAMES, HEADER_TEXTS, st.sampled_from([0, 0, 0, 0, 1, -1, 2**31]), st.sampled_from([b"", b"", b"x"]),
    st.sampled_from([0, 0, 0, 1, 3]),
)  # fmt: skip
JUNK_PACKETS = st.builds(
    Packet, st.tuples(U32, U32, U32), st.none(), rest=st.binary(max_size=60), fds=st.sampled_from([0, 0, 2])
)
COMMIT = Packet((33, 0, 0))
CONVERSATIONS = st.tuples(OPENS | JUNK_PACKETS, st.lists(st.just(COMMIT) | JUNK_PACKETS | OPENS, max_size=2)).map(
    lambda drawn: (drawn[0], *drawn[1])
)
