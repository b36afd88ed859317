"""mrjob cancel: end jobs of any account."""

from __future__ import annotations

from cli.service.cancel import command

__all__ = ["command"]
