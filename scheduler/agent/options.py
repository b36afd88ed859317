"""The options of an agent: one table, for `python -m scheduler.agent` and for `remora agent`.

Every option can also be set by an environment variable of its name, `REMORA_STATE_DIR` for
`--state-dir`; the command line takes precedence. The credential itself may be in
`REMORA_AGENT_CREDENTIAL`, so that no file has to be made for it.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from datapath.host_view import PROGRAMS
from scheduler.agent.slots import capacity
from scheduler.common.addresses import EVERYWHERE
from scheduler.model.credentials.secrets import SHORTEST
from scheduler.providers.choice import NAMES
from scheduler.providers.linux.loopback import Reach
from scheduler.tls import plain
from scheduler.tls.identity import TlsError, TlsFiles, files_of

CREDENTIAL = "REMORA_AGENT_CREDENTIAL"
LOOPBACK, LINK_LOCAL = "loopback", "link-local"
URL = re.compile(r"https?://[^/\s?#]+")


class OptionsError(Exception):
    """An invalid configuration of an agent; the text is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `read` parses a word, or raises ValueError; `default` is its value otherwise, None if it has none."""

    name: str
    help: str
    metavar: str | None = None
    read: Callable[[str], Any] = str
    default: Callable[[], Any] = lambda: None
    required: bool = False
    choices: Sequence[str] = ()
    flag: bool = False
    hidden: bool = False  # not for users: set by the service that starts its parts

    @property
    def attribute(self) -> str:
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        return f"REMORA_{self.attribute.upper()}"


def urls(text: str) -> list[str]:
    """Parse a comma list of URLs, or `@FILE`. Raises ValueError."""
    if text.startswith("@"):
        return [text]
    found = [url.rstrip("/") for url in text.replace(",", " ").split()]
    for url in found:
        if not URL.fullmatch(url):
            raise ValueError(f"{url!r} is not an URL like http://HOST:PORT")
    if not found:
        raise ValueError("no URL")
    return found


def one_url(text: str) -> str:
    """Parse one URL. Raises ValueError."""
    found = urls(text)
    if len(found) > 1:
        raise ValueError("more than one URL")
    return found[0]


def directory(text: str) -> Path:
    """Parse the path of an existing directory: one made in place of a missing mount would lose its data.

    Raises ValueError.
    """
    path = Path(text)
    if not path.is_dir():
        raise ValueError(f"there is no directory {path}: is it mounted?")
    return path.absolute()


def directories(text: str) -> tuple[Path, ...]:
    """Parse a comma list of existing directories. Raises ValueError."""
    return tuple(directory(each).resolve() for each in text.split(",") if each)


def networks(text: str) -> Reach:
    """Parse a comma list of networks. Raises ValueError."""
    said = {each for each in text.split(",") if each}
    if unknown := sorted(said - {LOOPBACK, LINK_LOCAL}):
        raise ValueError(f"{unknown[0]!r} is neither {LOOPBACK} nor {LINK_LOCAL}")
    return Reach(LOOPBACK in said, LINK_LOCAL in said)


def positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not number:
        raise ValueError(f"{text!r} is not a number above 0")
    return number


def at_least_0(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def token_in(text: str) -> str:
    """The token in a file. Raises ValueError."""
    try:
        token = Path(text).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {text}: {error.strerror if isinstance(error, OSError) else 'no text'}") from None
    if len(token) < SHORTEST:
        raise ValueError(f"{text} has {len(token)} characters, at least {SHORTEST} are needed")
    return token


def address(text: str) -> tuple[str, int]:
    """Parse `HOST:PORT`, an IPv6 host in brackets, no host for every address. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{text!r} is not HOST:PORT, such as 10.0.0.5:8085, [::1]:8085 or :8085")
    return host.removeprefix("[").removesuffix("]"), int(port)


OPTIONS = (
    Option("--url", "Gateways, a comma list, or @FILE that has them and is read again when it changes: they say "
           "who the supervisors are, and serve what tasks ask for.", "URL,...", urls, required=True),
    Option("--credential-file", f"Holds the credential of this node. [default: ${CREDENTIAL} itself]", "FILE", Path),
    Option("--state-dir", "Where instances and intermediates are; of this node alone.", "DIR", Path, required=True),
    Option("--objects", "Directory of the objects, which all nodes mount. [default: in --state-dir]", "DIR",
           directory),
    Option("--listen", "Where other agents get the intermediates of this node.", "HOST:PORT", address),
    Option("--advertise", "URL at which they reach that. [default: made of --listen]", "URL", one_url),
    Option("--tls-cert", "Certificate of this node, and those above it: for its links and intermediates. Read again on "
           "SIGHUP.", "FILE", Path),
    Option("--tls-key", "Its key, which no other user may read.", "FILE", Path),
    Option("--tls-ca", "Authorities of the certificates of supervisors, gateways and other nodes.", "FILE", Path),
    Option("--gateway-ca", "Authorities of the gateways' certificates, if others.", "FILE", Path),
    Option("--plain", "Use plain HTTP across the network, too: only if it is yours alone.", flag=True),
    Option("--cache-mb", "MiB for copies of what is elsewhere. [default: a tenth of the disk]", "N", positive),
    Option("--node", "Name of this node. [default: the host's]", "NAME", default=socket.gethostname),
    Option("--provider", "Where instances come from; auto: containers where they work, else processes. "
           "[default: process]", choices=NAMES, default=lambda: "process"),
    Option("--containerd", "Socket of the containerd to use. [default: one of our own]", "SOCKET"),
    Option("--isolation", "Of processes; auto: namespaces where the kernel allows them. [default: auto]",
           choices=("auto", "namespaces", "subreaper"), default=lambda: "auto"),
    Option("--show-dirs", "Directories of the machine that tasks see, read-only, besides those with programs "
           f"({' '.join(PROGRAMS)}).", "DIR,...", directories, default=tuple),
    Option("--allow-networks", f"What tasks reach besides the internet: {LOOPBACK}, whatever listens at 127.0.0.1 of "
           f"the machine; {LINK_LOCAL}, the metadata of a cloud.", "NAME,...", networks, default=Reach),
    Option("--slots", "Instances that compute at a time. [default: one per CPU]", "N", positive,
           default=lambda: os.cpu_count() or 1),
    Option("--prepared", "Instances of the default tiers that are made before a task needs them; 0: none. [default: 2]",
           "N", at_least_0, default=lambda: 2),
    Option("--memory-mb", "MiB for all instances. [default: the machine's]", "N", positive, default=capacity.memory_mb),
    Option("--nomad", "Instances are booked through Nomad: one for each launcher that has called.", flag=True),
    Option("--drain-seconds", "After SIGUSR1 the agent takes no task, and ends when no job needs the node, or after so "
           "many seconds. [default: 600]", "N", positive, default=lambda: 600),
    Option("--metrics", "Where Prometheus gets the metrics of this node.", "HOST:PORT", address),
    Option("--metrics-token-file", "Token that opens them, sent as Authorization: Bearer. [default: open to this "
           "machine only]", "FILE", token_in),
    Option("--launch-socket", "Where launchers call, with --nomad. [default: launch.sock in the state directory]",
           "PATH", Path),
    Option("--parent-fd", "End when this descriptor is closed at its other end.", "FD", int, hidden=True),
)  # fmt: skip


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> argparse.Namespace:
    """The options of an agent; `credential` is a function. Raises OptionsError."""
    parser = Parser(prog="python -m scheduler.agent", description="Run tasks on this node.", allow_abbrev=False)
    for option in OPTIONS:
        how: dict[str, Any] = {"action": "store_const", "const": "1"} if option.flag else {"metavar": option.metavar}
        shown = argparse.SUPPRESS if option.hidden else option.help
        parser.add_argument(option.name, help=shown.replace("%", "%%"), dest=option.attribute, **how)
    said = parser.parse_args(list(arguments))
    if said.parent_fd is not None:
        environment = {}  # a part of a service gets all options from it; the environment is that of the whole service
    for option in OPTIONS:
        setattr(said, option.attribute, value_of(option, getattr(said, option.attribute), environment))
    if (said.objects is None) != (said.listen is None):
        raise OptionsError("--objects and --listen go together: a node that shares objects serves what it makes itself")
    if said.listen is not None and said.advertise is None and said.listen[0] in EVERYWHERE:
        raise OptionsError("--listen names every address: say with --advertise URL at which one other agents reach it")
    said.tls = tls_of(said)
    said.credential = credential_of(said, environment)
    return said


def tls_of(said: argparse.Namespace) -> TlsFiles | None:
    """The files of this node's certificate; None if it has none, and needs none. Raises OptionsError."""
    try:
        files = files_of(said.tls_cert, said.tls_key, said.tls_ca, said.gateway_ca)
    except TlsError as error:
        raise OptionsError(str(error)) from None
    if files is not None and files.authority is None:
        raise OptionsError("--tls-ca is missing: whose certificates are those of other nodes?")
    if files is not None and said.advertise is not None and said.advertise.startswith("http://"):
        raise OptionsError(f"--advertise: what listens speaks TLS, so {said.advertise!r} has to begin with https://")
    for name, listen in (("--listen", said.listen), ("--metrics", said.metrics)):
        if files is None and listen is not None and not said.plain and not plain.stays_here(listen[0]):
            raise OptionsError(plain.refusal(name, listen[0] or "every address"))
    if not said.plain and (shown := [url for url in said.url if plain.is_exposed(url)]):
        raise OptionsError(f"--url: {shown[0]} is plain HTTP, which shows others this node's credential: "
                           "it takes https, or --plain if the network is yours alone")  # fmt: skip
    return files


class Parser(argparse.ArgumentParser):
    """An argument parser that raises OptionsError."""

    def error(self, message: str) -> NoReturn:
        raise OptionsError(message)


def value_of(option: Option, word: str | None, environment: Mapping[str, str]) -> Any:
    """The value of an option: from the command line, else the environment, else its default. Raises OptionsError."""
    name = option.name
    if word is None and environment.get(option.variable):
        word, name = environment[option.variable], option.variable
    if option.flag:
        return word is not None
    if word is None:
        if option.required:
            raise OptionsError(f"{option.name} is missing (or {option.variable} in the environment)")
        return option.default()
    if option.choices and word not in option.choices:
        raise OptionsError(f"{name}: {word!r} is none of {', '.join(option.choices)}")
    try:
        return option.read(word)
    except ValueError as error:
        raise OptionsError(f"{name}: {error}") from None


def credential_of(said: argparse.Namespace, environment: Mapping[str, str]) -> Callable[[], str]:
    """A function that returns the current credential: a service that starts anew writes a new one.

    Raises OptionsError if there is none, or it is that of another node.
    """
    file: Path | None = said.credential_file
    fixed = environment.get(CREDENTIAL, "").strip()
    if file is None and not fixed:
        raise OptionsError(f"the credential of this node is missing: give --credential-file, or {CREDENTIAL}")

    def read() -> str:
        return fixed if file is None else file.read_text().strip()

    try:
        owner = read().rpartition(".")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"--credential-file: cannot read {file}: {error}") from None
    if owner != said.node:
        raise OptionsError(f"the credential is of node {owner!r}, but this is node {said.node!r} (--node)")
    return read
