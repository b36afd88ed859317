"""A logger with context: each line has the fields of its job, phase and instance."""

from __future__ import annotations

import logging

LOGGER = logging.getLogger("remora.agent")


class Log:
    """A writer to the agent's logger; `about` makes one that adds fields to each of its lines."""

    def __init__(self, **fields: object) -> None:
        self._fields = fields

    def about(self, **fields: object) -> Log:
        return Log(**self._fields, **fields)

    def info(self, message: str, **fields: object) -> None:
        LOGGER.info(message, extra={**self._fields, **fields})

    def warning(self, message: str, **fields: object) -> None:
        LOGGER.warning(message, extra={**self._fields, **fields})

    def error(self, message: str, **fields: object) -> None:
        LOGGER.error(message, extra={**self._fields, **fields})

    def unexpected(self, error: BaseException) -> None:
        """Log the unexpected failure of a background task."""
        self.error("unexpected error", why=repr(error))
