"""Who an agent is: the credential of a node.

The parts of a cluster share one key. A node is not given the key but `NODE.MAC`, the MAC of its
own name under it: enough to prove the one name, and no help in making another. So nothing has to
be stored, anybody who has the key can make the credential of a node that is yet to come (Nomad's
templates do, with `hmacSHA256Hex`), and a credential that leaks is good for one node's work only.

Example: under the key `k` the node `n1` sends `Authorization: Bearer n1.ab31…`, and may register
as `n1`; the same credential with `n2` in it, or for an agent of `n2`, is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import re

# What can stand in a header: a name may have dots, a MAC has none.
NODE_NAME = re.compile(r"[!-~]{1,128}")
SCHEME = "Bearer "


def issue(key: str, node: str) -> str:
    """The credential of a node. Raises ValueError, a sentence, for a name that no node can have or an empty key."""
    if not key:
        raise ValueError("the agents' key is empty")
    if not NODE_NAME.fullmatch(node):
        raise ValueError(f"{node!r} cannot be the name of a node: it takes 1 to 128 visible characters of ASCII")
    return f"{node}.{hmac.new(key.encode(), node.encode(), hashlib.sha256).hexdigest()}"


def verify(key: str, authorization: str) -> str | None:
    """The node that an `Authorization` header proves to come from; None if it proves nothing."""
    sent = authorization.removeprefix(SCHEME)
    node = sent.rpartition(".")[0]
    if sent == authorization or not key or not NODE_NAME.fullmatch(node):
        return None
    return node if hmac.compare_digest(sent.encode("utf-8", "replace"), issue(key, node).encode()) else None
