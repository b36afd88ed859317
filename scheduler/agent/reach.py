"""How an agent reaches other machines: by TLS with its certificate, or plainly where that was said.

There are two ways out. Requests to gateways and supervisors go through one HTTP client, whose connector has the
contexts of our certificate. Intermediates of other nodes come through sockets of our own (`fetch`), and for them only
the cluster's authority counts. A URL of plain HTTP that leads to another machine is refused at either.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from scheduler.tls.plain import is_exposed


@dataclass(frozen=True, slots=True)
class Reach:
    """`asking`, `fetching`: contexts for requests and for intermediates; None: what the system believes, and nothing.

    `plain`: other machines may be asked by plain HTTP.
    """

    asking: ssl.SSLContext | None = None
    fetching: ssl.SSLContext | None = None
    plain: bool = True

    def refuses(self, url: str) -> str | None:
        """Why this URL is not asked, if so."""
        if self.plain or not is_exposed(url):
            return None
        return f"{url} is plain HTTP to another machine, which others can read: it takes https, or --plain here"


ANYWHERE = Reach()
