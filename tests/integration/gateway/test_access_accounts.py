"""`remora user` and `remora key`: accounts come, keys come and go, while the service runs and while it does not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scheduler.model.credentials.httpsig import PublicKey
from tests.support.services.forks import start_command
from tests.support.services.gateway import KEYS, Signer, public_line
from tests.support.services.service import Service, command

STRANGER = 65534  # `nobody`, on every Linux
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of public keys, and of what is none."""
    directory = tmp_path_factory.mktemp("files")
    for kind, key in KEYS.items():
        (directory / f"{kind}.pub").write_text(f"{public_line(key)} {kind} of \x1b[31mjill\n")
    (directory / "none.pub").write_text("hello\n")
    (directory / "bytes.pub").write_bytes(b"\xff\xfe")
    return directory


@pytest.fixture
def stopped(tmp_path: Path) -> Service:
    """A service that ran once."""
    service = Service(tmp_path / "state", ("--login", "first"))
    service.start()
    assert service.stop() == 0
    return service


def status(url: str, signer: Signer) -> tuple[int, str]:
    """Status and error code of a look at one's own stor."""
    reply = httpx.get(f"{url}/{signer.login}/stor", headers=signer.headers())
    return reply.status_code, reply.json()["code"] if reply.status_code >= 400 else ""


def listed(service: Service, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in service.text("remora", *words, "--json").splitlines()]


def test_an_account_that_is_added_while_the_service_runs_can_ask_at_once(service: Service, files: Path) -> None:
    bob = Signer("bob", KEYS["rsa"])
    assert status(service.url, bob) == (403, "KeyDoesNotExist")
    printed = service.text("remora", "user", "add", "bob", "--key", str(files / "rsa.pub"))
    assert printed == f"{bob.fingerprint}\n"
    assert status(service.url, bob) == (200, "")
    assert {account["login"]: account["keys"] for account in listed(service, "user", "ls")}["bob"] == 1
    assert "bob\t1 key\n" in service.text("remora", "user", "ls")


def test_how_long_an_account_keeps_jobs_is_set_and_listed(service: Service) -> None:
    service.text("remora", "user", "add", "keeper")
    for said, listed_as, shown in (
        ("2h", 7200, "\tjobs kept: 2h"),
        ("forever", 0, "\tjobs kept: forever"),
        ("default", None, ""),
    ):
        service.text("remora", "user", "set", "keeper", "--keep-jobs", said)
        (account,) = [each for each in listed(service, "user", "ls") if each["login"] == "keeper"]
        assert account.get("keepJobs") == listed_as
        assert f"keeper\t0 keys{shown}\n" in service.text("remora", "user", "ls")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("jill", "--keep-jobs", "soon"), b'"soon" is no time to keep jobs: 7d, 12h, forever or default'),
        (("jill", "--keep-jobs", "0d"), b'"0d" is no time to keep jobs: 7d, 12h, forever or default'),
        (("jill",), b"say what to set: --keep-jobs TIME"),
        (("nosuch", "--keep-jobs", "7d"), b'there is no account "nosuch"'),
    ],
)
def test_what_cannot_be_set_of_an_account_is_said(service: Service, words: tuple[str, ...], sentence: bytes) -> None:
    said = service.run("remora", "user", "set", *words, check=False)
    assert (said.returncode, sentence in said.stderr) == (1, True), said.stderr


def test_a_key_opens_from_when_it_is_added_to_when_it_is_removed(service: Service, files: Path) -> None:
    carl = Signer("carl", KEYS["ecdsa"])
    said = service.run("remora", "user", "add", "carl")
    assert (said.stdout, said.stderr) == (b"", b"carl has no key yet: remora key add carl FILE.pub\n")
    for form in ("md5", "sha256"):
        assert status(service.url, carl) == (403, "KeyDoesNotExist")
        line = (files / "ecdsa.pub").read_bytes()
        assert service.text("remora", "key", "add", "carl", "-", stdin=line) == f"{carl.fingerprint}\n"
        assert status(service.url, carl) == (200, "")
        (key,) = listed(service, "key", "ls", "carl")
        assert key["comment"] == "ecdsa of \x1b[31mjill"
        said = service.run("remora", "key", "rm", "carl", str(key[form]))
        assert said.stderr == b"carl has no key any more\n"
        assert status(service.url, carl) == (403, "KeyDoesNotExist")


def test_keys_are_listed_as_people_read_them(service: Service, files: Path) -> None:
    service.run("remora", "user", "add", "dora", "--key", str(files / "ed25519.pub"))
    key = PublicKey.parse(public_line(KEYS["ed25519"]))
    line = f"{key.md5}\t{key.sha256}\tssh-ed25519\ted25519 of \\u001b[31mjill\n"
    assert service.text("remora", "key", "ls", "dora") == line


NO_KEY = "not an SSH public key: one line like `ssh-ed25519 AAAA… comment` is needed"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("user", "add", "1st"), '"1st" cannot be a login: a letter, then letters, digits and any of _ - . @ %'),
        (("user", "add", "metrics"), '"metrics" cannot be a login: the service uses that name itself'),
        (("user", "add", "eve", "--key", "{}/none.pub"), "{}/none.pub is " + NO_KEY),
        (("user", "add", "eve", "--key", "-"), "stdin is " + NO_KEY),
        (("user", "add", "eve", "--key", "{}/bytes.pub"), "cannot read the public key {}/bytes.pub: it is not text"),
        (("key", "add", "eve", "{}/rsa.pub"), 'there is no account "eve"'),
        (("key", "add", "eve", "{}/gone.pub"), "cannot read the public key {}/gone.pub: No such file or directory"),
        (("key", "ls", "eve"), 'there is no account "eve"'),
        (("key", "rm", "eve", "aa:bb"), 'there is no account "eve"'),
        (("user", "ls", "--state-dir", "{}/no"), "no service has its state in {}/no: `remora up --state-dir {}/no` "
         "makes one"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_changes_nothing(
    service: Service, files: Path, words: tuple[str, ...], problem: str
) -> None:
    before = listed(service, "user", "ls")
    given = [word.replace("{}", str(files)) for word in words]
    said = service.run("remora", *given, check=False)
    assert (said.returncode, said.stdout) == (1, b"")
    expected = problem.replace("{}", str(files))
    assert said.stderr.decode() == f"remora {words[0]} {words[1]}: error: {expected}\n"
    assert listed(service, "user", "ls") == before


def test_accounts_and_keys_of_a_service_that_does_not_run_are_there_when_it_does(stopped: Service, files: Path) -> None:
    bob, late = Signer("bob", KEYS["rsa"]), Signer("first", KEYS["ecdsa"])
    stopped.run("remora", "user", "add", "bob", "--key", str(files / "rsa.pub"))
    stopped.run("remora", "key", "add", "first", str(files / "ecdsa.pub"))
    own = json.loads((stopped.state_dir / "client.json").read_text())["key_id"]
    stopped.run("remora", "key", "rm", "first", own)
    stopped.start()
    try:
        assert status(stopped.url, bob) == (200, "")
        assert status(stopped.url, late) == (200, "")
        said = stopped.run("mls", check=False)  # by the profile, whose key was removed and does not come back by itself
        assert (said.returncode, b"KeyDoesNotExist" in said.stderr) == (1, True)
        stopped.run("remora", "key", "add", "first", str(stopped.state_dir / "keys/id_ed25519.pub"))
        assert stopped.text("mls", "~~").split() == ["jobs/", "public/", "reports/", "stor/"]
    finally:
        assert stopped.stop() == 0


def test_many_at_once_lose_nothing(service: Service, tmp_path: Path) -> None:
    added = []
    for number in range(4):
        line = public_line(Ed25519PrivateKey.generate())
        (tmp_path / f"{number}.pub").write_text(line)
        words = ("user", "add", f"many{number}", "--key", str(tmp_path / f"{number}.pub"))
        added.append(start_command("remora", *words, env=service.env, stdout=subprocess.DEVNULL))
    assert [one.wait(60) for one in added] == [0] * 4
    logins = [account["login"] for account in listed(service, "user", "ls")]
    assert [login for login in logins if str(login).startswith("many")] == [f"many{number}" for number in range(4)]


@needs_root
def test_a_stranger_changes_nothing(service: Service) -> None:
    """Tried in this process's child by the very functions: a stranger may not even read where we are installed."""
    program = (
        "import os, sys; from pathlib import Path; from scheduler.service import administration as a;"
        "from scheduler.records import accounts; path = Path(sys.argv[1]);"
        f"os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER});"
        "a.change(path, lambda c: accounts.create(c, 'eve', 0))"
    )
    words = [*command("remora")[:2], program, str(service.state_dir)]
    done = subprocess.run(words, capture_output=True, text=True, env=service.env)
    assert done.returncode == 1
    assert f"StateError: cannot use {service.state_dir} for the state: Permission denied" in done.stderr
    assert "eve" not in service.text("remora", "user", "ls")
