"""The gateways that an agent was configured with, the one that answered last first.

Any of them will do. One that cannot be reached goes to the end of the list, so that only the
requests of that moment wait for it.

Where gateways come and go while the agent runs, it is given a file instead, `@FILE`, which is kept
up to date from outside (by a template of Nomad, for example). The file is read before each request;
while it cannot be read, or names no gateway, the last list remains valid.

A gateway that could be reached only by plain HTTP across the network is left out unless that was
allowed (`transport`): requests carry the node's credential and jobs' tokens.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from scheduler.agent.transport import ANYWHERE, Reach

FILE = "@"
URL = re.compile(r"https?://[^/\s?#,]+")
log = logging.getLogger("remora.agent")


class Gateways:
    """The URLs of gateways, without a trailing slash; constructed from URLs, or from one word `@FILE`."""

    def __init__(self, urls: Iterable[str], reach: Reach = ANYWHERE) -> None:
        self._reach = reach
        self._urls = [url.rstrip("/") for url in urls]
        self._file: Path | None = None
        self._text = ""
        if len(self._urls) == 1 and self._urls[0].startswith(FILE):
            self._file = Path(self._urls.pop().removeprefix(FILE))

    def __iter__(self) -> Iterator[str]:
        """Iterates over the URLs in the order in which they should be tried now."""
        self._read()
        return iter(list(self._urls))

    def failed(self, url: str) -> None:
        """Move a gateway that could not be reached to the end."""
        if url in self._urls:
            self._urls.remove(url)
            self._urls.append(url)

    def _read(self) -> None:
        """Read the file again; URLs that are still in it keep their order."""
        text = ""
        if self._file is not None:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                text = self._file.read_text()
        if text == self._text:
            return
        self._text = text
        named = [url for url in URL.findall(text) if not self._refuses(url)]
        if not named:
            return
        kept = [url for url in self._urls if url in named]
        self._urls = kept + [url for url in dict.fromkeys(named) if url not in kept]
        log.info("gateways", extra={"urls": self._urls})

    def _refuses(self, url: str) -> bool:
        if why := self._reach.refuses(url):
            log.error("a gateway is not used", extra={"why": why})
        return why is not None
