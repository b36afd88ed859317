"""The agent's connections to other machines: by TLS with its certificate, or by plain HTTP where that was allowed.

There are two kinds. Requests to gateways and supervisors go through one HTTP client, whose connector has the TLS
contexts of our certificate. Intermediates of other nodes come through sockets of our own (`fetch`), and trust only
the cluster's authority. Both refuse a URL of plain HTTP that leads to another machine.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from scheduler.agent.lost_nodes import LostNodes
from scheduler.tls.plain import is_exposed


@dataclass(frozen=True, slots=True)
class Reach:
    """The ways to other machines. `plain`: networks that may be reached by plain HTTP; `lost`: nodes without a way.

    `asking`, `fetching`: TLS contexts for requests and for intermediates; None: the system's authorities, and no TLS.
    """

    asking: ssl.SSLContext | None = None
    fetching: ssl.SSLContext | None = None
    plain: bool = True
    lost: LostNodes = field(default_factory=LostNodes)

    def refuses(self, url: str) -> str | None:
        """The reason why this URL must not be requested; None if it may."""
        if self.plain or not is_exposed(url):
            return None
        return f"{url} is plain HTTP to another machine, which others can read: it takes https, or --plain here"


ANYWHERE = Reach()
