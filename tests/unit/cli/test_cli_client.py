"""The client library without a service: settings, paths, keys, the ssh agent, batches."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cli.client import keys, paths
from cli.client.job_names import in_directory
from cli.client.jobs import lines_of
from cli.client.problem import Problem, refusal
from cli.client.settings import Options, load
from cli.jobs.documents.input_names import batches
from scheduler.model.credentials.httpsig import PublicKey

PROFILE = {"url": "http://127.0.0.1:8081", "user": "jill", "key_id": "aa:bb", "key_file": "/k"}


@pytest.fixture
def state(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody whose machine runs a service."""
    (tmp_path / "client.json").write_text(json.dumps(PROFILE))
    return {"REMORA_STATE_DIR": str(tmp_path)}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~~", "/jill"),
        ("~~/stor/a", "/jill/stor/a"),
        ("~~/stor//a/../b/./c/", "/jill/stor/b/c"),
        ("//x/y", "/x/y"),
        ("/../x", "/x"),
        ("~~x/y", "~~x/y"),
        ("a/b", "a/b"),
    ],
)
def test_paths_are_expanded_and_normalised(text: str, path: str) -> None:
    assert paths.expand(text, "jill") == path


def test_directories_to_make_leave_out_what_always_exists() -> None:
    assert paths.parents("/j/stor/a/b") == ["/j/stor/a"]
    assert paths.parents("/j/stor/a") == []
    assert paths.parents("/j/jobs/ID/stor/a/b/c") == ["/j/jobs/ID/stor/a", "/j/jobs/ID/stor/a/b"]


def test_without_an_environment_the_profile_is_used(state: dict[str, str]) -> None:
    settings = load(Options(), state)
    assert (settings.url, settings.account, settings.key_id, settings.key_file) == tuple(PROFILE.values())


def test_options_win_over_the_environment(state: dict[str, str]) -> None:
    settings = load(Options(account="joe", roles=("r",)), {**state, "MANTA_USER": "jim", "MANTA_ROLE": "x, y"})
    assert (settings.account, settings.home, settings.roles) == ("joe", "jim", ("r",))


def test_another_service_gets_neither_name_nor_key_of_the_profile(state: dict[str, str]) -> None:
    elsewhere = {**state, "MANTA_URL": "https://elsewhere"}
    with pytest.raises(Problem, match="account is a required argument"):
        load(Options(), elsewhere)
    with pytest.raises(Problem, match="keyId is a required argument"):
        load(Options(account="jill"), elsewhere)
    assert load(Options(account="jill", key_id="cc"), elsewhere).key_file == ""


def test_the_profile_key_file_serves_its_own_key_id_only(state: dict[str, str]) -> None:
    own = {**state, "MANTA_URL": "http://127.0.0.1:8081/", "MANTA_USER": "jill"}
    assert load(Options(key_id="aa:bb"), own).key_file == "/k"
    assert load(Options(key_id="cc:dd"), own).key_file == ""


def test_where_no_service_is_found_it_is_said_how_to_start_one_and_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(Problem) as raised:
        load(Options(), {"REMORA_STATE_DIR": str(tmp_path)})
    said = str(raised.value)
    assert said.startswith("no service found: start one with remora up ")
    assert str(tmp_path) in said and "REMORA_STATE_DIR" in said


@pytest.mark.parametrize(
    "url",
    ["ftp://x", " ", "http://", "http://:80", "http://[::1", "http://x:99999", "http://x:y", "http://x:0", "http://a b",
     "http://x?y", "http://x/#y", "http://x\x01", "http://a..b/"],
)  # fmt: skip
def test_a_url_that_no_service_can_have_is_refused_by_name(url: str) -> None:
    with pytest.raises(Problem, match="the service URL") as raised:
        load(Options(account="jill"), {"MANTA_URL": url, "MANTA_NO_AUTH": "true"})
    assert url in str(raised.value)


def test_no_auth_needs_a_url_only() -> None:
    settings = load(Options(), {"MANTA_URL": "http://x", "MANTA_NO_AUTH": "true", "REMORA_STATE_DIR": "/none"})
    assert settings.no_auth
    with pytest.raises(Problem, match="account is a required"):
        load(Options(), {"MANTA_URL": "http://x", "MANTA_NO_AUTH": "1", "REMORA_STATE_DIR": "/none"})


def test_a_task_reads_no_profile(tmp_path: Path) -> None:
    (tmp_path / "client.json").write_text("{")
    task = {"MANTA_URL": "http://x", "MANTA_USER": "jill", "MANTA_NO_AUTH": "true", "REMORA_STATE_DIR": str(tmp_path)}
    assert load(Options(), task).home == "jill"


def test_a_url_must_be_one(state: dict[str, str]) -> None:
    with pytest.raises(Problem, match='"ftp://x" must begin with http'):
        load(Options(url="ftp://x", account="a", key_id="b"), state)


def test_a_damaged_profile_is_named(tmp_path: Path) -> None:
    (tmp_path / "client.json").write_text("{")
    with pytest.raises(Problem, match=r"client.json is damaged"):
        load(Options(), {"REMORA_STATE_DIR": str(tmp_path)})


PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
KEYS: dict[str, PrivateKey] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "rsa": rsa.generate_private_key(65537, 2048),
    "ecdsa256": ec.generate_private_key(ec.SECP256R1()),
    "ecdsa384": ec.generate_private_key(ec.SECP384R1()),
    "ecdsa521": ec.generate_private_key(ec.SECP521R1()),
}


def public_of(key: PrivateKey) -> PublicKey:
    return PublicKey.parse(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def write(path: Path, key: PrivateKey, form: PrivateFormat, lock: KeySerializationEncryption | None = None) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, form, lock or NoEncryption()))
    path.chmod(0o600)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8])
def test_a_key_in_the_ssh_directory_is_found_by_any_spelling_and_signs(
    kind: str, form: PrivateFormat, tmp_path: Path
) -> None:
    public = public_of(KEYS[kind])
    for other in ("ed25519", "rsa"):
        write(tmp_path / f"other_{other}", ed25519.Ed25519PrivateKey.generate(), PrivateFormat.OpenSSH)
    (tmp_path / "config").write_text("Host *\n")
    write(tmp_path / "work", KEYS[kind], form)
    for spelling in (public.md5, public.md5.replace(":", ""), f"MD5:{public.md5}", public.sha256):
        signer = keys.find(spelling, agent="", ssh_dir=tmp_path)
        assert (signer.fingerprint, signer.algorithm) == (public.md5, public.algorithm)
        assert public.verify(signer.algorithm, signer.sign(b"text"), b"text")


def test_a_key_that_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no private key for 00:11"):
        keys.find("00:11", agent="/none", ssh_dir=tmp_path / "none")


def test_an_encrypted_key_says_what_to_do(tmp_path: Path) -> None:
    key = KEYS["rsa"]
    write(tmp_path / "id_rsa", key, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    (tmp_path / "id_rsa.pub").write_bytes(line)
    with pytest.raises(Problem, match=r"id_rsa is protected by a passphrase: add it to the ssh agent"):
        keys.find(public_of(key).md5, agent="", ssh_dir=tmp_path)


def test_an_encrypted_key_that_may_be_the_one_is_named(tmp_path: Path) -> None:
    write(tmp_path / "id_any", KEYS["ed25519"], PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    wanted = public_of(KEYS["ed25519"]).md5
    with pytest.raises(Problem, match=rf"no private key for {wanted} can be read: .*id_any is protected by a pass"):
        keys.find(wanted, agent="", ssh_dir=tmp_path)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa256", "ecdsa384", "ecdsa521"])
def test_a_key_of_old_pem_form_is_found(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "old", KEYS[kind], PrivateFormat.TraditionalOpenSSL)
    assert keys.find(public_of(KEYS[kind]).sha256, agent="", ssh_dir=tmp_path).algorithm.startswith(kind[:3])


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """A real ssh agent that holds all KEYS."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent is not installed")
    path = str(tmp_path / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()  # it says where it listens once it does
    try:
        for kind, key in KEYS.items():
            write(tmp_path / kind, key, PrivateFormat.OpenSSH)
            environ = {**os.environ, "SSH_AUTH_SOCK": path}
            subprocess.run(["ssh-add", "-q", str(tmp_path / kind)], env=environ, check=True)
        yield path
    finally:
        process.terminate()
        process.wait()


def test_the_ssh_agent_signs_with_every_kind_of_key(agent: str, tmp_path: Path) -> None:
    for key in KEYS.values():
        public = public_of(key)
        signer = keys.find(public.sha256, agent=agent, ssh_dir=tmp_path / "none")
        assert public.verify(signer.algorithm, signer.sign(b"text"), b"text"), public.algorithm


def test_an_rsa_key_signs_with_every_hash_that_its_keeper_can(agent: str, tmp_path: Path) -> None:
    public = public_of(KEYS["rsa"])
    write(tmp_path / "key", KEYS["rsa"], PrivateFormat.OpenSSH)
    held = keys.find(public.md5, agent=agent, ssh_dir=tmp_path / "none")
    for signer, algorithms in (
        (keys.of_file(str(tmp_path / "key")), ("rsa-sha1", "rsa-sha256", "rsa-sha384", "rsa-sha512")),
        (held, ("rsa-sha256", "rsa-sha512")),  # agents of today refuse SHA-1, and never knew SHA-384
    ):
        for algorithm in algorithms:
            assert public.verify(algorithm, signer.using(algorithm).sign(b"text"), b"text"), algorithm
    with pytest.raises(Problem, match=r"RSA-SHA384 could not be used with this key \(try RSA-SHA256\)"):
        held.using("rsa-sha384")


def test_an_agent_that_talks_nonsense_is_passed_over(tmp_path: Path) -> None:
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            connection.recv(100)
            connection.sendall(b"\0\0\0\x09\x0c\0\0\0\x01\xff\xff\xff\xff")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert keys.from_agent(path, "00") is None
        thread.join()


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [(404, "ResourceNotFound", "ResourceNotFoundError"), (400, "BadRequestError", "BadRequestError"),
     (404, None, "NotFoundError"), (403, None, "ForbiddenError"), (599, None, "Http599Error")],
)  # fmt: skip
def test_errors_are_named_by_code_or_status(status: int, code: str | None, name: str) -> None:
    assert refusal(status, code, "m").name == name


@pytest.mark.parametrize("text", ["8bd3", "8bd3/", "/jill/jobs/8bd3", "/jill/jobs/8bd3/"])
def test_a_job_is_named_by_id_or_directory(text: str) -> None:
    assert in_directory(text) == "8bd3"


def test_lines_are_joined_over_pieces() -> None:
    assert list(lines_of([b"a\nb", b"c\n\n", b"d"])) == [b"a", b"bc", b"d"]


def test_batches_are_cut_at_their_size_and_at_a_lull() -> None:
    reader, writer = os.pipe()
    try:
        found = batches(reader, 2)
        os.write(writer, b"a\n\nb\r\nc\nd")
        assert next(found) == [b"a", b"b"]
        assert next(found) == [b"c"]  # nothing more has come, and the line of d may go on
        os.write(writer, b"d\ne")
        os.close(writer)
        assert list(found) == [[b"dd", b"e"]]
    finally:
        os.close(reader)
