"""Accounts and their keys.

An account is a login and its keys; a signature by one of the keys proves that a request is the account's. The
account's top-level directories exist from the start, so no user has to make them. Accounts are never removed: their
objects would have no owner, and a new account with the same login would get them.

A key issues further credentials: tokens and presigned URLs. They end with the key, because it is looked up whenever
one of them is used, and they end all at once when the account is revoked: no credential issued before that time counts
any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.credentials.httpsig import PublicKey
from scheduler.model.names import LOGIN, TOP_LEVEL
from scheduler.records.database import Connection, Row

# The account of the service's own objects, as Manta's operators had it. It has no keys.
OPERATOR = "poseidon"
# First path segments that are not logins of users.
RESERVED = frozenset({"_agent", "docs", "healthz", "metrics", "ping", OPERATOR})


class AccountError(Exception):
    """The reason why an account or a key cannot be changed, as a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Key:
    """A registered key: its one-line public form, and two times in ms, by the database's clock.

    `added`: when it was registered. `revoked`: credentials that the account's keys issued before this time are void.
    """

    public: str
    added: int
    revoked: int

    def vouches_for(self, issued: int) -> bool:
        """Whether a credential that this key issued at that time is still valid."""
        return issued >= max(self.added, self.revoked)


def create(c: Connection, login: str, now: int) -> None:
    """Add an account and its top-level directories, in one transaction. Raises AccountError."""
    if not LOGIN.match(login):
        raise AccountError(f'"{login}" cannot be a login: a letter, then letters, digits and any of _ - . @ %')
    if login in RESERVED:
        raise AccountError(f'"{login}" cannot be a login: the service uses that name itself')
    if exists(c, login):
        raise AccountError(f'the account "{login}" exists already')
    _insert(c, login, now)


def ensure_operator(c: Connection, now: int) -> bool:
    """Add the service's own account, if it is missing; False if it is a user's, from before the name was reserved."""
    if not exists(c, OPERATOR):
        _insert(c, OPERATOR, now)
    return not list_keys(c, OPERATOR)


def _insert(c: Connection, login: str, now: int) -> None:
    c.run("insert_account", login=login, created=now)
    tops = [{"dir": f"/{login}", "name": top, "mtime": now} for top in TOP_LEVEL]
    c.many("put_directory_if_absent", [{"dir": "/", "name": login, "mtime": now}, *tops])
    c.run("add_children", dir="/", name=login, count=len(tops))


def exists(c: Connection, login: str) -> bool:
    return c.one("find_account", login=login) is not None


def list_accounts(c: Connection) -> list[Row]:
    """All accounts of users: `login`, `created` (ms), the number of `keys`, and `keep_jobs` (see there) of each."""
    return c.all("list_accounts")


def keep_jobs(c: Connection, login: str, seconds: int | None) -> None:
    """Set how long (seconds) an account keeps jobs; 0: for ever, None: the service's default. Raises AccountError."""
    require(c, login)
    c.run("keep_jobs", login=login, seconds=seconds)


def require(c: Connection, login: str) -> None:
    """Raises AccountError if there is no such account."""
    if not exists(c, login):
        raise AccountError(f'there is no account "{login}"')


def add_key(c: Connection, login: str, line: str) -> PublicKey:
    """Register the key of an OpenSSH one-line public key. Raises AccountError."""
    if login == OPERATOR:
        raise AccountError(f'the account "{login}" is the service\'s own, and has no keys')
    try:
        key = PublicKey.parse(line)
    except ValueError as error:
        raise AccountError(str(error)) from None
    require(c, login)
    c.run("put_key", login=login, fingerprint=key.md5, public=line.strip(), added=c.now())
    return key


def find_key(c: Connection, login: str, fingerprint: str) -> Key | None:
    """The key of `login` with this MD5 fingerprint (`aa:bb:…`), or None."""
    row = c.one("find_key", login=login, fingerprint=fingerprint)
    return None if row is None else Key(row["public"], row["added"], row["revoked"])


def list_keys(c: Connection, login: str) -> dict[str, str]:
    """One-line public keys by MD5 fingerprint. Raises AccountError."""
    require(c, login)
    return {row["fingerprint"]: row["public"] for row in c.all("list_keys", login=login)}


def remove_key(c: Connection, login: str, fingerprint: str) -> str:
    """Remove the key with this fingerprint, MD5 or SHA256; returns its MD5. Raises AccountError."""
    for md5, line in list_keys(c, login).items():
        if PublicKey.parse(line).has_fingerprint(fingerprint):
            c.run("remove_key", login=login, fingerprint=md5, now=c.now())
            return md5
    raise AccountError(f'{login} has no key "{fingerprint}"')


def was_removed(c: Connection, login: str, fingerprint: str) -> bool:
    """Whether a key, by its MD5 fingerprint, was the account's and was removed."""
    return c.one("find_removed_key", login=login, fingerprint=fingerprint) is not None


def revoke(c: Connection, login: str) -> None:
    """End all tokens and presigned URLs of an account. Raises AccountError."""
    require(c, login)
    c.run("revoke_account", login=login, now=c.now())
