"""mrjob verify: check records and objects, of all or of one job."""

from __future__ import annotations

from cli.service.verify import command

__all__ = ["command"]
