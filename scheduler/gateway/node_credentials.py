"""Credentials of nodes: how an agent proves its node's name.

The processes of a cluster share one key. A node is not given the key but `NODE.MAC`, the MAC of its
own name under it: this proves the one name, and does not help in forging another. So an operator can issue
a credential for a future node wherever the key is, and a leaked credential gives access to one node's work only.

A credential can be replaced or revoked without affecting those of other nodes. The next one of a
node is `NODE.1-MAC`, over its name and its *generation*; the records say which generations are valid
(`engine.credential`). Every process reads them once a second, so a revoked credential is
accepted for a second at most. While the records cannot be reached nothing can be revoked in them, so
the last state read stays valid.

The key itself can be replaced too: see `model.credentials.secrets`.

Example: under the key `k` the node `n1` sends `Authorization: Bearer n1.ab31…`, and may register
as `n1`; the same credential with `n2` in it, or for an agent of `n2`, is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from scheduler.engine.credential import FIRST, Trust
from scheduler.model.credentials.secrets import keys_of
from scheduler.records.database import Database
from scheduler.records.node_trust import all_trust

# The characters that a header can hold. A name may have dots; the part after the last dot has none.
NODE_NAME = re.compile(r"[!-~]{1,128}")
PROOF = re.compile(r"(?:([1-9][0-9]{0,8})-)?([0-9a-f]{64})")
SCHEME = "Bearer "
# Seconds for which a state that was read is used, and for which a request waits for a newer one when it is older.
LOOK_SECONDS = 1.0
WAIT_SECONDS = 0.5


class Proven(NamedTuple):
    """The claims of a credential: a node, and the generation of its credential."""

    node: str
    generation: int


def issue(secret: str, node: str, generation: int = 0) -> str:
    """A credential of a node, signed with the first key of the agents' secret.

    Raises ValueError, a sentence, for a name that no node can have or an empty secret.
    """
    keys = keys_of(secret)
    if not keys:
        raise ValueError("the agents' key is empty")
    if not NODE_NAME.fullmatch(node):
        raise ValueError(f"{node!r} cannot be the name of a node: it takes 1 to 128 visible characters of ASCII")
    number = f"{generation}-" if generation else ""
    return f"{node}.{number}{_mac(keys[0], node, generation)}"


def verify(secret: str, authorization: str) -> Proven | None:
    """The node and the generation that an `Authorization` header proves; None if it proves nothing."""
    sent = authorization.removeprefix(SCHEME)
    node, _, rest = sent.rpartition(".")
    proof = PROOF.fullmatch(rest)
    if sent == authorization or proof is None or not NODE_NAME.fullmatch(node):
        return None
    generation = int(proof[1] or 0)
    good = [hmac.compare_digest(proof[2], _mac(key, node, generation)) for key in keys_of(secret)]
    return Proven(node, generation) if any(good) else None


def _mac(key: str, node: str, generation: int) -> str:
    signed = f"{node}\n{generation}" if generation else node  # a name cannot contain a line end
    return hmac.new(key.encode(), signed.encode(), hashlib.sha256).hexdigest()


class Gatekeeper:
    """Decides from which node an agent's request comes, by the credentials that the records allow."""

    def __init__(self, db: Database, secret: str, clock: Callable[[], int]) -> None:
        self._db = db
        self._secret = secret
        self._clock = clock
        self._trust: Mapping[str, Trust] | None = None
        self._looked = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def node_of(self, authorization: str) -> str | None:
        """The node whose credential an `Authorization` header has; None if it has no valid one."""
        proven = verify(self._secret, authorization)
        if proven is None:
            return None
        trust = (await self.trust()).get(proven.node, FIRST)
        return proven.node if trust.accepts(proven.generation, self._clock()) else None

    async def revoked(self) -> list[str]:
        """Nodes whose credentials are revoked."""
        return sorted(node for node, trust in (await self.trust()).items() if trust.is_revoked)

    async def vouches_for(self, node: str, issued: int) -> bool:
        """Whether a token that was issued to a node at this time (ms) is valid."""
        return (await self.trust()).get(node, FIRST).vouches_for(issued)

    async def trust(self) -> Mapping[str, Trust]:
        """The recorded trust in nodes, not older than `LOOK_SECONDS` while the records can be read."""
        if time.monotonic() - self._looked >= LOOK_SECONDS and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())
        if self._looking is not None and not self._looking.done():
            await asyncio.wait([self._looking], timeout=WAIT_SECONDS if self._trust is not None else None)
        if self._trust is None:
            assert self._looking is not None
            self._looking.result()  # raises the error of the failed read
        assert self._trust is not None
        return self._trust

    async def _look(self) -> None:
        began = time.monotonic()
        self._trust = await self._db.read(all_trust)
        self._looked = began
