"""Where the service is and who asks: options over environment over the profile.

The profile is `client.json` in the state directory of a service on this machine, written
by the service: `{"url": …, "user": …, "key_id": …, "key_file": …}`. It fills gaps only
when the URL is its own, so that `MANTA_URL=https://elsewhere` never borrows its name or key.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from cli.client.problem import Problem

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = "client.json"
# What the environment may say, for the manual; options win over it.
VARIABLES = {
    "MANTA_URL": "Address of the service.",
    "MANTA_USER": "Account; what ~~ stands for, even with --account.",
    "MANTA_SUBUSER": "Sub-user of the account.",
    "MANTA_ROLE": "Roles to take on, a comma list.",
    "MANTA_KEY_ID": "Fingerprint of the key to sign with: MD5, MD5:... or SHA256:...",
    "MANTA_TLS_INSECURE": "Trust any certificate, if 1, true, yes or on.",
    "MANTA_NO_AUTH": "Sign nothing, if true: so it is within a task, where neither account nor key is needed.",
    "SSH_AUTH_SOCK": "Socket of the ssh agent, which is asked for the key before the files of ~/.ssh.",
    "HTTPS_PROXY": "Proxy for a service at https://, http://HOST:PORT; HTTP_PROXY for one at http://. "
    "A service on this machine is never asked by a proxy.",
    "NO_PROXY": "Hosts and domains that need no proxy, a comma list.",
    "REMORA_CA_FILE": "Certificates of the authorities to trust for the service, such as a cluster's own.",
    "SSL_CERT_FILE": "Certificates of the authorities to trust instead of the system's.",
    "REMORA_STATE_DIR": "State directory of a service on this machine, whose profile says what nothing else does. "
    "Default: remora in $XDG_STATE_HOME, or ~/.local/state/remora.",
}
MAX_LABEL = 63  # of a domain name, between dots
TRUE_WORDS = ("1", "true", "yes", "on")


class Profile(NamedTuple):
    """The service of this machine. `key_file` is a private key, OpenSSH or PEM."""

    url: str = ""
    user: str = ""
    key_id: str = ""
    key_file: str = ""


class Settings(NamedTuple):
    """All that a session needs. `home` is the account that `~~` stands for."""

    url: str
    account: str
    home: str
    key_id: str = ""
    key_file: str = ""
    subuser: str = ""
    roles: tuple[str, ...] = ()
    insecure: bool = False
    no_auth: bool = False
    verbose: bool = False
    patience: bool = True  # to connect: a shell that completes a word has none

    def key_name(self, fingerprint: str) -> str:
        """What the wire calls a key of this account or sub-user: `/jill/keys/c1:3a:…`."""
        user = self.account + (f"/{self.subuser}" if self.subuser else "")
        return f"/{user}/keys/{fingerprint}"


class Options(NamedTuple):
    """The common options of a command line, as given."""

    url: str | None = None
    account: str | None = None
    key_id: str | None = None
    subuser: str | None = None
    roles: tuple[str, ...] = ()
    insecure: bool = False
    verbose: bool = False


def state_directory(environ: Mapping[str, str]) -> Path:
    """Where a service on this machine keeps its state: `REMORA_STATE_DIR`, or `remora` below the XDG state home.

    Raises `Problem` where neither is said and the user has no home.
    """
    from pathlib import Path

    return Path(state_path(environ))


def state_path(environ: Mapping[str, str]) -> str:
    """As `state_directory`, but as text."""
    if environ.get("REMORA_STATE_DIR"):
        return environ["REMORA_STATE_DIR"]
    if os.path.isabs(base := environ.get("XDG_STATE_HOME") or ""):  # as its specification wants it
        return os.path.join(base, "remora")
    home = home_directory(environ)
    if home is None:
        raise Problem("this user has no home directory (HOME is not set): say --state-dir DIR, or set REMORA_STATE_DIR")
    return os.path.join(home, ".local/state/remora")


def home_directory(environ: Mapping[str, str]) -> str | None:
    """The user's, by HOME or else by the machine's list of users; None for a user without one."""
    if os.path.isabs(home := environ.get("HOME") or ""):
        return home
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None
    return home if os.path.isabs(home) else None


def read_profile(environ: Mapping[str, str]) -> Profile:
    """The profile of this machine's service; an empty one if there is none. Raises `Problem` if it is damaged."""
    try:
        path = os.path.join(state_path(environ), PROFILE)
    except Problem:
        return Profile()  # what it would say may come from elsewhere
    try:
        with open(path) as file:
            check_owner(path, os.fstat(file.fileno()), environ)
            record: dict[str, Any] = json.load(file)
        return Profile(**{name: str(record.get(name) or "") for name in ("url", "user", "key_id", "key_file")})
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return Profile()
    except (ValueError, AttributeError):
        raise Problem(f"{path} is damaged: start the service again, it writes a new one") from None


def check_owner(path: str, status: os.stat_result, environ: Mapping[str, str]) -> None:
    """Raises `Problem` for a profile that another user wrote or could: it says which service gets what we store."""
    ours = {os.geteuid(), 0, int(sudo) if (sudo := environ.get("SUDO_UID", "")).isdigit() else 0}
    if status.st_uid not in ours or status.st_mode & 0o022:
        why = "can be changed by others" if status.st_uid in ours else f"belongs to user {status.st_uid}"
        raise Problem(f"{path} {why}, and says which service and key to use: name another place (REMORA_STATE_DIR)")


def load(options: Options, environ: Mapping[str, str] | None = None) -> Settings:
    """Decide the settings. Raises `Problem` naming the first argument that is nowhere to be found."""
    environ = os.environ if environ is None else environ
    given_url = options.url or environ.get("MANTA_URL") or ""
    no_auth = environ.get("MANTA_NO_AUTH") == "true"
    profile = Profile() if given_url and no_auth else read_profile(environ)  # a task has all that it needs
    if given_url and given_url.rstrip("/") != profile.url.rstrip("/"):
        profile = Profile()
    account = options.account or environ.get("MANTA_USER") or profile.user
    key_id = options.key_id or environ.get("MANTA_KEY_ID") or profile.key_id
    url = given_url or profile.url
    if not url:
        raise no_service(state_path(environ))
    for name, value in (("account", account or no_auth), ("keyId", key_id or no_auth)):
        if not value:
            raise Problem(f"{name} is a required argument", name="UsageError")
    check_url(url)
    return Settings(
        url=url.rstrip("/"),
        account=account,
        home=environ.get("MANTA_USER") or account,
        key_id=key_id,
        key_file=profile.key_file if key_id == profile.key_id else "",
        subuser=options.subuser or environ.get("MANTA_SUBUSER") or "",
        roles=options.roles or words(environ.get("MANTA_ROLE", "")),
        insecure=options.insecure or environ.get("MANTA_TLS_INSECURE", "").lower() in TRUE_WORDS,
        no_auth=no_auth,
        verbose=options.verbose,
    )


def no_service(directory: str) -> Problem:
    return Problem(
        f"no service found: start one with remora up (there is no profile in {directory}; "
        "one that runs elsewhere is named by REMORA_STATE_DIR or MANTA_URL)"
    )


def check_url(url: str) -> None:
    """Raises `Problem` for a URL that no service can have."""
    if not url.startswith(("http://", "https://")):
        raise Problem(f'the service URL "{url}" must begin with http:// or https://')
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        why = "it names no host" if not host or parts.port == 0 else ""
        if host and not all(0 < len(label) <= MAX_LABEL for label in host.removesuffix(".").split(".")):
            why = f"a part of its host is empty, or longer than {MAX_LABEL} characters"
    except ValueError as error:  # of the port, of brackets
        why = str(error)
    if not (url.isprintable() and url.isascii()) or " " in url or "?" in url or "#" in url:
        why = why or "it has characters that do not belong there"
    if why:
        raise Problem(f'the service URL "{url}" is not valid: {why}')


def words(text: str) -> tuple[str, ...]:
    """A comma list, blanks and empty entries left out."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
