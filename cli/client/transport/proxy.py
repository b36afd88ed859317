"""The HTTP proxy by which a service is reached, as the environment names it.

`http_proxy` and `https_proxy`, in small or capital letters, name the proxy for services of that scheme, and
`all_proxy` for both; `no_proxy` lists hosts that need none. That is what curl and the other programs of a machine
read. A service on this machine is never asked by a proxy, which would look for it on a machine of its own.

Example: `https_proxy=http://proxy:3128 no_proxy=.example` and `https://remora.other`: a tunnel by proxy:3128.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from cli.client.problem import Problem

DEFAULT_PORT = 80


class Proxy(NamedTuple):
    """Where a proxy is, and what it wants to see of us."""

    host: str
    port: int
    authorization: str = ""

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"proxy-authorization": self.authorization} if self.authorization else {}


def proxy_for(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for the service at `url`; None if it is asked directly. Raises `Problem`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or is_listed(host, parts.port, either("no_proxy", environ)):
        return None
    name = either(f"{parts.scheme}_proxy", environ) or either("all_proxy", environ)
    return parsed(name) if name else None


def either(name: str, environ: Mapping[str, str]) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")


def is_listed(host: str, port: int | None, listed: str) -> bool:
    """Is a host, or a domain that it is in, in a comma list such as `.example,10.0.0.1:8080,*`?"""
    for entry in filter(None, (word.strip().lower() for word in listed.split(","))):
        name, _, number = entry.rpartition(":") if entry.rpartition(":")[2].isdigit() else (entry, "", "")
        name = name.strip("[]").removeprefix("*").lstrip(".")
        if not name and entry.startswith("*"):
            return True
        if (not number or number == str(port)) and (host == name or host.endswith(f".{name}")):
            return True
    return False


def parsed(text: str) -> Proxy:
    """`http://user:password@host:port`, or without some of it. Raises `Problem`."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port or DEFAULT_PORT
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError
    except ValueError:
        raise Problem("the proxy that the environment names is not of the form http://HOST:PORT") from None
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(parts.hostname, port, authorization)
