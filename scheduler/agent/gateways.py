"""The gateways that an agent was told of, the one that answered last first.

Any of them will do. One that cannot be reached goes to the end of the line, so that only those
who ask at that moment wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Gateways:
    """Their URLs, without a slash at the end."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls = [url.rstrip("/") for url in urls]

    def __iter__(self) -> Iterator[str]:
        """In the order in which they should be tried now."""
        return iter(list(self._urls))

    def failed(self, url: str) -> None:
        """It was tried in vain."""
        if url in self._urls:
            self._urls.remove(url)
            self._urls.append(url)
