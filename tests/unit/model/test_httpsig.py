import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from scheduler.model.credentials import httpsig
from scheduler.model.credentials.httpsig import KeyId, PublicKey, Signature, SignatureError
from tests.support.services.gateway import KEYS, public_line

AUTHORIZATION = 'keyId="/jill/keys/aa:bb",algorithm="RSA-SHA256",headers="Date (request-target)",signature="eA=="'


def test_the_parts_of_an_authorization():
    assert httpsig.parse_authorization(AUTHORIZATION) == Signature(
        "/jill/keys/aa:bb", "rsa-sha256", ("date", "(request-target)"), b"x"
    )


def test_parts_come_in_any_order_and_headers_may_be_missing():
    parsed = httpsig.parse_authorization('signature="eA==", algorithm="rsa-sha1", keyId="k"')
    assert parsed == Signature("k", "rsa-sha1", None, b"x")


def test_what_is_composed_is_parsed():
    composed = httpsig.authorization("/jill/keys/aa", "rsa-sha256", ["date", "host"], b"\0\xff")
    scheme, _, rest = composed.partition(" ")
    assert scheme == "Signature"
    assert httpsig.parse_authorization(rest) == Signature("/jill/keys/aa", "rsa-sha256", ("date", "host"), b"\0\xff")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("keyId=x", "bad param format"),
        ('keyId="x" algorithm="y"', "bad param format"),
        ('key-id="x"', "bad param format"),
        ('keyId="",algorithm="a",signature="s"', "keyId was not specified"),
        ('keyId="x",signature="s"', "algorithm was not specified"),
        ('keyId="x",algorithm="a"', "signature was not specified"),
    ],
)
def test_an_authorization_that_cannot_be_read_says_why(text, problem):
    with pytest.raises(SignatureError, match=problem):
        httpsig.parse_authorization(text)


def test_a_signature_that_is_not_base64_is_one_that_matches_nothing():
    assert httpsig.decode_signature("***") == b""


@pytest.mark.parametrize(
    ("text", "key_id"),
    [
        ("/jill/keys/aa:bb", KeyId("jill", None, "aa:bb")),
        ("/jill/sub/keys/aa:bb", KeyId("jill", "sub", "aa:bb")),
        ("jill/keys/aa", None),
        ("/jill/keys/", None),
        ("/jill/keys/a/b", None),
        ("/a/b/c/keys/d", None),
    ],
)
def test_a_key_id_names_account_and_key(text, key_id):
    assert httpsig.parse_key_id(text) == key_id


def test_the_text_that_is_signed():
    headers = {"date": ["Thu"], "x-many": ["1", "2"]}
    text = httpsig.signing_text(
        ["date", "(request-target)", "request-line", "x-many"], "GET", "/a?b", lambda name: headers.get(name, [])
    )
    assert text == b"date: Thu\n(request-target): get /a?b\nGET /a?b HTTP/1.1\nx-many: 1, 2"
    with pytest.raises(SignatureError, match="host was not in the request"):
        httpsig.signing_text(["host"], "GET", "/", lambda _: [])


def test_the_text_of_a_presigned_url():
    query = [
        ("signature", "no"),
        ("keyId", "/jill/keys/a:b"),
        ("expires", "1"),
        ("odd", "it's (*)!~"),
        ("method", "GET,PUT"),
    ]
    assert httpsig.presigned_text("GET,PUT", "host:8080", "/jill/stor/a%20b", query) == (
        b"GET,PUT\nhost:8080\n/jill/stor/a%20b\n"
        b"expires=1&keyId=%2Fjill%2Fkeys%2Fa%3Ab&method=GET%2CPUT&odd=it%27s%20%28%2A%29%21~"
    )


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_verifies_what_its_other_half_signed_and_nothing_else(kind):
    private, public = KEYS[kind], PublicKey.parse(public_line(KEYS[kind]))
    signature = httpsig.sign(private, b"text")
    assert public.verify(public.algorithm, signature, b"text")
    assert not public.verify(public.algorithm, signature, b"other")
    assert not public.verify(public.algorithm, b"", b"text")
    others = {name.split("-")[0] for name in httpsig.ALGORITHMS} - {public.algorithm.split("-")[0]}
    assert not any(public.verify(f"{other}-sha256", signature, b"text") for other in others)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize("kind", KEYS)
def test_fingerprints_are_those_of_ssh_keygen(kind, tmp_path):
    file = tmp_path / "key.pub"
    file.write_text(public_line(KEYS[kind]) + " jill@here\n")
    key = PublicKey.parse(file.read_text())
    for form, mine in (("md5", f"MD5:{key.md5}"), ("sha256", key.sha256)):
        shown = subprocess.run(["ssh-keygen", "-l", "-E", form, "-f", file], capture_output=True, text=True, check=True)
        assert shown.stdout.split()[1] == mine
    assert key.comment == "jill@here"


@pytest.mark.parametrize("line", ["", "ssh-rsa", "ssh-rsa !!!", "ssh-rsa AAAA", "ssh-ed25519 AAAA x\nssh-rsa AAAA y"])
def test_a_line_that_is_no_key_is_refused_with_a_sentence(line):
    with pytest.raises(ValueError, match="SSH public key"):
        PublicKey.parse(line)


def test_a_key_too_small_to_trust_is_refused():
    checked = httpsig.checked(rsa.generate_private_key(65537, 1024).public_key())
    assert checked.key_size == 1024

    class Small(rsa.RSAPublicKey):
        key_size = 768

    Small.__abstractmethods__ = frozenset()
    with pytest.raises(ValueError, match="below 1024 bits"):
        httpsig.checked(Small())
