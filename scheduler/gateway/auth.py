"""Who asks, and may he.

There are three ways to prove who one is: a signed request, a URL that was signed
beforehand, a token that the service gave out. Each ends in a `Caller` or in the error
that names what failed; without any, the caller is anonymous. Whether the caller may do
what he asks is one rule: an owner may do everything below his own login, and everybody
may read what is below `public`.

Nothing that can be taken away is remembered: a key is looked up for every request, and a
job's token is asked whether the job runs. So what was removed, or is over, opens nothing
from the next request on.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from scheduler.gateway.context import ANONYMOUS, Call, Caller, Context
from scheduler.gateway.tokens import Tokens
from scheduler.model import errors, httpsig, names
from scheduler.model.dates import parse_rfc1123
from scheduler.model.httpsig import PublicKey, SignatureError
from scheduler.records import accounts

MAX_SKEW_MS = 300_000
TOO_OLD_MS = 600_000
READING = frozenset({"GET", "HEAD"})


class Authenticator:
    """Tells who asks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.tokens = Tokens(context.secret)
        self._accounts: set[str] = set()  # that were found: accounts are never removed

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

    async def _token(self, token: str) -> Caller:
        found = self.tokens.verify(token, self._context.clock())
        if found is None:
            raise errors.invalid_token()
        caller = Caller(*found)
        if caller.job is not None and not await self._runs(caller.job):
            raise errors.invalid_token()
        return caller

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
        return await self._verify(signature.key_id, signature.algorithm, signature.signature, text)

    def _signed_text(self, request: web.BaseRequest, signature: httpsig.Signature) -> bytes:
        dated = "x-date" if "x-date" in request.headers else "date"
        listed = (dated,) if signature.headers is None else signature.headers
        text = httpsig.signing_text(
            listed, request.method, request.raw_path, lambda name: request.headers.getall(name, [])
        )
        if dated not in listed:
            raise SignatureError(f"{dated} was not a signed header")
        self._check_skew(", ".join(request.headers.getall(dated, [])))
        return text

    def _check_skew(self, value: str) -> None:
        at = parse_rfc1123(value)
        if at is None:
            raise SignatureError(f"{value} is not a date")
        skew = abs(self._context.clock() - at)
        if skew > MAX_SKEW_MS:
            raise SignatureError(f"clock skew of {skew // 1000}s was greater than {MAX_SKEW_MS // 1000}s")

    async def _verify(self, key_id: str, algorithm: str, signature: bytes, text: bytes) -> Caller:
        named = httpsig.parse_key_id(key_id)
        if named is None:
            raise errors.invalid_key_id()
        key = await self._find_key(named)
        if not key.verify(algorithm, signature, text):
            raise errors.invalid_signature()
        return Caller(named.account)

    async def _find_key(self, named: httpsig.KeyId) -> PublicKey:
        if not await self.account_exists(named.account):
            raise errors.account_does_not_exist(named.account)
        if named.user is not None:
            raise errors.user_does_not_exist(named.account, named.user)
        line = await self._context.db.read(lambda c: accounts.find_key(c, named.account, named.fingerprint))
        if line is None:
            raise errors.key_does_not_exist(named.account, named.fingerprint)
        return PublicKey.parse(line)

    async def _presigned(self, request: web.BaseRequest) -> Caller:
        raw_path, _, raw_query = request.raw_path.partition("?")
        pairs = parse_qsl(raw_query, keep_blank_values=True, errors="surrogateescape")
        query = dict(pairs)
        self._check_presigned(request.method, query)
        methods = ",".join(sorted(query.get("method", request.method).split(",")))
        text = httpsig.presigned_text(methods, request.headers.get("Host", ""), raw_path, pairs)
        signature = httpsig.decode_signature(query["signature"].replace(" ", "+"))
        return await self._verify(query["keyId"], query["algorithm"].lower(), signature, text)

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


def is_presigned(request: web.BaseRequest) -> bool:
    query = request.raw_path.partition("?")[2]
    if not query:
        return False
    return any(name in httpsig.PRESIGNED_REQUIRED for name, _ in parse_qsl(query, keep_blank_values=True))


def said(call: Call, name: str) -> str:
    """A header that a presigned URL may have as a parameter of the same name, which then comes first."""
    presigned = "Authorization" not in call.request.headers and "signature" in call.query
    return call.query[name] if presigned and name in call.query else call.request.headers.get(name, "")


def permit(call: Call) -> None:
    """Raises WireError unless the caller may do what he asks."""
    if call.caller.login == names.owner(call.path):
        return
    if call.method in READING and names.top(call.path) == "public":
        return
    raise errors.authorization_failed(str(call.caller), call.path)
