"""mrjob list: the jobs of all accounts."""

from __future__ import annotations

from cli.service.jobs import command

__all__ = ["command"]
