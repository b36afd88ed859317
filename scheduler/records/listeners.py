"""Listeners: those of one process who want the announcements of all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable


class Listeners:
    """The callbacks that want announcements, each with the event loop that it is called on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[object, tuple[asyncio.AbstractEventLoop, Callable[[str], None]]] = {}

    def add(self, callback: Callable[[str], None]) -> Callable[[], None]:
        key = object()
        with self._lock:
            self._all[key] = asyncio.get_running_loop(), callback
        return lambda: self._remove(key)

    def tell(self, subjects: Iterable[str], but: Callable[[str], None] | None = None) -> None:
        """Call every listener, `but` one, with each subject. May be called from any thread."""
        with self._lock:
            listeners = [(key, each) for key, each in self._all.items() if each[1] != but]
        for subject in subjects:
            for key, (loop, callback) in listeners:
                try:
                    loop.call_soon_threadsafe(callback, subject)
                except RuntimeError:  # its loop is closed
                    self._remove(key)

    def _remove(self, key: object) -> None:
        with self._lock:
            self._all.pop(key, None)
