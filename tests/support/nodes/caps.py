"""What a task is told that has run into a cap of its phase, as users read it."""

from __future__ import annotations


def out_of_memory(cap: int, more: int) -> str:
    return f"user task ran out of memory{of_memory(cap, more)}"


def of_memory(cap: int, more: int) -> str:
    return f': its cap is {cap} MB ("memory": {more} is more)'


def out_of_disk(cap: int, more: int) -> str:
    return f'user task ran out of local disk space: its cap is {cap} GB ("disk": {more} is more)'
