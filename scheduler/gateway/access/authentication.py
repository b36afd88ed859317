"""Authentication: finding the account that sends a request.

A caller proves its identity in one of three ways: a signed request, a presigned URL, or a token that the service
issued. Each ends in a `Caller`, which records the kind of proof, or in the error that names what failed; without any
proof the caller is anonymous. What a proof allows is decided in `permissions`.

Rights that can be revoked are never cached. The key is looked up for every request, also for one with a token or a
presigned URL that came from that key, and a token of a job is valid only while the job runs. So a key that was
removed, an account that was revoked or disabled, or a job that is over is refused from the next request on.

What cannot change is remembered: that a key has made a signature. Manta's clients sign the date alone, so all their
requests of a second have one signature, and to check it anew would be a quarter of the work of a small PUT.

A caller without a valid proof learns nothing about accounts that is not public: for an account that does not exist
the reply is that of an unknown key, or of a path that is not open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl

from aiohttp import web

from scheduler.gateway.access.tokens import Tokens
from scheduler.gateway.context import ANONYMOUS, Caller, Context, Proof
from scheduler.model import errors
from scheduler.model.credentials import httpsig
from scheduler.model.credentials.httpsig import KeyId, PublicKey, SignatureError
from scheduler.model.dates import parse_rfc1123
from scheduler.records import accounts
from scheduler.records.accounts import Key

MAX_SKEW_MS = 300_000
TOO_OLD_MS = 600_000
# Signatures that are remembered as good, and the bytes of the longest text of one.
KNOWN = 1024
MAX_KNOWN_BYTES = 1024
# A signature must cover one of these, so that it is valid for one request only.
TARGETS = frozenset({"(request-target)", "request-line"})


class Authenticator:
    """Identifies the caller of a request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.tokens = Tokens(context.secret)
        self._accounts: set[str] = set()  # Accounts that were found. They are never removed.

    async def identify(self, request: web.BaseRequest) -> Caller:
        """The caller of a request. Raises WireError."""
        self._check_age(request)
        header = request.headers.get("Authorization")
        if header is None:
            return await self._presigned(request) if is_presigned(request) else ANONYMOUS
        scheme, separator, parameters = header.partition(" ")
        if not separator or not parameters:
            raise errors.invalid_header("Invalid Authorization header")
        if scheme.lower() == "signature":
            return await self._signed(request, parameters)
        if scheme.lower() == "token":
            return await self._token(parameters.strip())
        raise errors.scheme_not_allowed(scheme)

    async def account_exists(self, login: str) -> bool:
        if login not in self._accounts and await self._context.db.read(lambda c: accounts.exists(c, login)):
            self._accounts.add(login)
        return login in self._accounts

    def _check_age(self, request: web.BaseRequest) -> None:
        value = request.headers.get("Date")
        at = parse_rfc1123(value) if value else None
        if at is not None and self._context.clock() - at > TOO_OLD_MS:
            raise errors.request_expired(str(value))

    async def issue(self, caller: Caller) -> str:
        """Issue a token to a caller who signed its request. It is valid as long as the key is, and a week at most."""
        assert caller.login is not None and caller.key is not None
        # The database's clock, which also dates the keys that were added and the accounts that were revoked.
        now = await self._context.db.read(lambda c: c.now())
        return self.tokens.issue(caller.login, now, key=caller.key)

    async def _token(self, token: str) -> Caller:
        note = self.tokens.verify(token, self._context.clock())
        if note is None:
            raise errors.invalid_token()
        if note.job is not None:
            if not await self._runs(note.job):
                raise errors.invalid_token()
            if note.node is not None and not await self._context.nodes.vouches_for(note.node, note.issued):
                raise errors.invalid_token()
            account = await self._context.db.read(lambda c: accounts.show(c, note.login))
            if account["disabled"]:
                raise errors.account_blocked(note.login)
            return Caller(note.login, Proof.JOB, job=note.job, limits=account["limits"])
        key = await self._find_key(note.login, note.key or "")
        if key is None or not key.vouches_for(note.issued):
            raise errors.invalid_token()
        require_active(note.login, key)
        return Caller(note.login, Proof.TOKEN, key=note.key, operator=key.operator, limits=key.limits)

    async def _runs(self, job: str) -> bool:
        service = self._context.service
        return service is not None and await service.runs(job)

    async def _signed(self, request: web.BaseRequest, parameters: str) -> Caller:
        try:
            signature = httpsig.parse_authorization(parameters)
            text = self._signed_text(request, signature)
        except SignatureError as error:
            raise errors.invalid_header(f"Invalid Signature Authorization header: {error}") from None
        if signature.algorithm not in httpsig.ALGORITHMS:
            raise errors.invalid_algorithm(signature.algorithm, httpsig.ALGORITHMS)
        named, key = await self._verify(signature.key_id, signature.algorithm, signature.signature, text)
        return Caller(named.account, Proof.SIGNED, named.fingerprint, operator=key.operator, limits=key.limits)

    def _signed_text(self, request: web.BaseRequest, signature: httpsig.Signature) -> bytes:
        dated = "x-date" if "x-date" in request.headers else "date"
        listed = (dated,) if signature.headers is None else signature.headers
        text = httpsig.signing_text(
            listed, request.method, request.raw_path, lambda name: request.headers.getall(name, [])
        )
        if dated not in listed:
            raise SignatureError(f"{dated} was not a signed header")
        if self._context.guard.require_signed_target and TARGETS.isdisjoint(listed):
            raise SignatureError("(request-target) was not a signed header")
        self._check_skew(", ".join(request.headers.getall(dated, [])))
        return text

    def _check_skew(self, value: str) -> None:
        at = parse_rfc1123(value)
        if at is None:
            raise SignatureError(f"{value} is not a date")
        skew = abs(self._context.clock() - at)
        if skew > MAX_SKEW_MS:
            raise SignatureError(f"clock skew of {skew // 1000}s was greater than {MAX_SKEW_MS // 1000}s")

    async def _verify(self, key_id: str, algorithm: str, signature: bytes, text: bytes) -> tuple[KeyId, Key]:
        """The key that made a signature. Raises WireError."""
        named = httpsig.parse_key_id(key_id)
        if named is None:
            raise errors.invalid_key_id()
        if named.user is not None:
            raise errors.user_does_not_exist(named.account, named.user)
        key = await self._find_key(named.account, named.fingerprint)
        if key is None:
            raise errors.key_does_not_exist(named.account, named.fingerprint)
        check_signature(key.public, algorithm, signature, text)
        require_active(named.account, key)
        return named, key

    async def _find_key(self, login: str, fingerprint: str) -> Key | None:
        return await self._context.db.look_up(lambda c: accounts.find_key(c, login, fingerprint))

    async def _presigned(self, request: web.BaseRequest) -> Caller:
        raw_path, _, raw_query = request.raw_path.partition("?")
        pairs = parse_qsl(raw_query, keep_blank_values=True, errors="surrogateescape")
        query = parameters(pairs)
        self._check_presigned(request.method, query)
        methods = ",".join(sorted(query.get("method", request.method).split(",")))
        text = httpsig.presigned_text(methods, request.headers.get("Host", ""), raw_path, pairs)
        signature = httpsig.decode_signature(query["signature"].replace(" ", "+"))
        named, key = await self._verify(query["keyId"], query["algorithm"].lower(), signature, text)
        # A URL does not say when it was signed, but certainly not before its key was added.
        if not key.vouches_for(key.added):
            raise errors.invalid_presigned("request was revoked")
        return Caller(named.account, Proof.PRESIGNED, key=named.fingerprint, limits=key.limits)

    def _check_presigned(self, method: str, query: Mapping[str, str]) -> None:
        if method not in query.get("method", method).split(","):
            raise errors.invalid_presigned(f"{method} was not a signed method")
        missing = [name for name in httpsig.PRESIGNED_REQUIRED if not query.get(name)]
        if missing:
            raise errors.invalid_presigned(f'parameters "{", ".join(missing)}" are required')
        expires = query["expires"]
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            raise errors.invalid_presigned("expires is invalid")
        if int(expires) * 1000 < self._context.clock():
            raise errors.invalid_presigned("request expired")
        if query["algorithm"].lower() not in httpsig.ALGORITHMS:
            raise errors.invalid_presigned(f"{query['algorithm']} is not a supported signing algorithm")


def check_signature(public: str, algorithm: str, signature: bytes, text: bytes) -> None:
    """Raises WireError unless the signature is this key's over the text."""
    check = _check_signature if len(text) <= MAX_KNOWN_BYTES else _check_signature.__wrapped__
    check(public, algorithm, signature, text)


@lru_cache(maxsize=KNOWN)
def _check_signature(public: str, algorithm: str, signature: bytes, text: bytes) -> None:
    """The check, whose good outcomes are remembered: what is refused raises, and so is checked anew."""
    if not PublicKey.parse(public).verify(algorithm, signature, text):
        raise errors.invalid_signature()


def require_active(login: str, key: Key) -> None:
    """Raises WireError if the account is disabled. Only who has proved to have its key is told."""
    if key.disabled:
        raise errors.account_blocked(login)


def is_presigned(request: web.BaseRequest) -> bool:
    query = request.raw_path.partition("?")[2]
    if not query:
        return False
    return any(name in httpsig.PRESIGNED_REQUIRED for name, _ in parse_qsl(query, keep_blank_values=True))


def parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters of a presigned URL.

    Raises WireError if one occurs twice: the signature does not cover their order, which would then decide what they
    mean.
    """
    listed = list(pairs)
    twice = [name for name, times in Counter(name for name, _ in listed).items() if times > 1]
    if twice:
        raise errors.invalid_presigned(f'parameters "{", ".join(sorted(twice))}" were given twice')
    return dict(listed)
