"""The limit of a process on open descriptors (`RLIMIT_NOFILE`)."""

from __future__ import annotations

import resource


def raise_limit() -> None:
    """Raise the limit to the hard limit, which the administrator sets; shells and systemd start with 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def limit() -> int:
    """The number of descriptors that this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
