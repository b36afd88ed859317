"""The gateways that an agent was told of, the one that answered last first.

Any of them will do. One that cannot be reached goes to the end of the line, so that only those
who ask at that moment wait for it.

Where gateways come and go while the agent runs, it is told a file instead, `@FILE`, which somebody
keeps up to date (Nomad's templates do). It is looked at whenever somebody asks; while it cannot be
read, or names none, the last that it named hold.

One that could be asked by plain HTTP only, across the network, is left out unless that was allowed (`reach`): with
requests go the node's credential and jobs' tokens.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from scheduler.agent.reach import ANYWHERE, Reach

FILE = "@"
URL = re.compile(r"https?://[^/\s?#,]+")
log = logging.getLogger("remora.agent")


class Gateways:
    """Their URLs, without a slash at the end; or one word `@FILE`, and the URLs are in the file."""

    def __init__(self, urls: Iterable[str], reach: Reach = ANYWHERE) -> None:
        self._reach = reach
        self._urls = [url.rstrip("/") for url in urls]
        self._file: Path | None = None
        self._text = ""
        if len(self._urls) == 1 and self._urls[0].startswith(FILE):
            self._file = Path(self._urls.pop().removeprefix(FILE))

    def __iter__(self) -> Iterator[str]:
        """In the order in which they should be tried now."""
        self._read()
        return iter(list(self._urls))

    def failed(self, url: str) -> None:
        """It was tried in vain."""
        if url in self._urls:
            self._urls.remove(url)
            self._urls.append(url)

    def _read(self) -> None:
        """Look at the file: those that are still there keep their places."""
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
            log.error("a gateway is not asked", extra={"why": why})
        return why is not None
