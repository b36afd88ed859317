"""Accounts and their keys.

An account is a login and its keys; a signature by one of the keys proves that a request is the account's. The
account's top-level directories exist from the start, so no user has to make them. Accounts are never removed: their
objects would have no owner, and a new account with the same login would get them. An account that is *disabled* keeps
all that it has, and its keys open nothing until it is enabled again. An account of an *operator* may read everything,
and end any job.

A key issues further credentials: tokens and presigned URLs. They end with the key, because it is looked up whenever
one of them is used, and they end all at once when the account is revoked: no credential issued before that time counts
any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.credentials.httpsig import PublicKey
from scheduler.model.limits import Limits, merged
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
    `operator`, `disabled`: what the account is.
    """

    public: str
    added: int
    revoked: int
    operator: bool = False
    disabled: bool = False
    limits: str | None = None  # JSON, see `scheduler.model.limits`

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
    """All accounts of users: `login`, `created` (ms), the number of `keys`, `keep_jobs` (see there), `operator` (0, 1),
    and `disabled` (ms, 0: not) of each."""
    return c.all("list_accounts")


def keep_jobs(c: Connection, login: str, seconds: int | None) -> None:
    """Set how long (seconds) an account keeps jobs; 0: for ever, None: the service's default. Raises AccountError."""
    require(c, login)
    c.run("keep_jobs", login=login, seconds=seconds)


def show(c: Connection, login: str) -> Row:
    """One account: as `list_accounts` has it, and its `limits` (JSON, or None). Raises AccountError."""
    if (row := c.one("show_account", login=login)) is None:
        raise AccountError(f'there is no account "{login}"')
    return row


def set_operator(c: Connection, login: str, operator: bool) -> None:
    """Make an account an operator's, or not. Raises AccountError."""
    require_own(c, login)
    c.run("set_operator", login=login, operator=int(operator))


def disable(c: Connection, login: str) -> None:
    """Have the keys of an account open nothing, nor what they gave out. Raises AccountError."""
    require_own(c, login)
    c.run("disable_account", login=login, since=c.now())


def enable(c: Connection, login: str) -> None:
    """End that an account is disabled. Raises AccountError."""
    require_own(c, login)
    c.run("disable_account", login=login, since=0)


@dataclass(frozen=True, slots=True)
class Stored:
    """What an account stores, or all do: objects, by their names, and their bytes."""

    objects: int
    bytes: int


def stored_of(c: Connection, login: str | None) -> Stored:
    """Reads the names of all objects of an account; of all accounts without one."""
    beyond = f"/{login}0"  # 0 is the character after the slash
    row = c.one("stored_in_all") if login is None else c.one("stored_of", dir=f"/{login}/", beyond=beyond)
    assert row is not None
    return Stored(row["objects"], int(row["bytes"]))


def default_limits(c: Connection) -> str | None:
    """The service's limits for accounts that have none of their own, and its totals: JSON, see `model.limits`."""
    row = c.one("show_account", login=OPERATOR)
    return None if row is None else row["limits"]


def limits_of(c: Connection, login: str) -> Limits:
    """The limits that hold for an account; the built-in ones if there is no such account."""
    row = c.one("show_account", login=login)
    return merged(default_limits(c), None if row is None else row["limits"])


def set_default_limits(c: Connection, document: str | None) -> None:
    """Set the service's limits; they are kept with its own account. Raises AccountError before the first start."""
    require(c, OPERATOR)
    c.run("set_limits", login=OPERATOR, limits=document)


def set_limits(c: Connection, login: str, document: str | None) -> None:
    """Set the limits of an account that are not the service's. Raises AccountError."""
    require_own(c, login)
    c.run("set_limits", login=login, limits=document)


def is_disabled(c: Connection, login: str) -> bool:
    row = c.one("show_account", login=login)
    return row is not None and bool(row["disabled"])


def require_own(c: Connection, login: str) -> None:
    """Raises AccountError if there is no such account, or if it is the service's own."""
    require(c, login)
    if login == OPERATOR and not list_keys(c, login):
        raise AccountError(f'the account "{login}" is the service\'s own: it cannot be changed')


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
    if row is None:
        return None
    return Key(
        row["public"], row["added"], row["revoked"], bool(row["operator"]), bool(row["disabled"]), row["limits"]
    )  # fmt: skip


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
