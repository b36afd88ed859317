"""Scripts from the days of Manta: its published client stores objects here.

Where a command of ours exists, it is run too, and must say the same. What differs, and is meant to:

- ours names itself before every message (`mrm: x is not an object`);
- `mfind ~~/x` names a missing path in full, and `mput` says why it was forbidden.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scheduler.model.credentials.httpsig import PublicKey
from tests.conformance.clients import Both, lines
from tests.support.services.gateway import KEYS, public_line
from tests.support.services.objects import put_many
from tests.support.services.user import User
from tests.support.variants import thorough, variants

# Headers that differ from request to request, and those that the published client adds by itself.
OF_ONE_REQUEST = ("date: ", "x-request-", "x-response-time: ")


def lasting_headers(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(OF_ONE_REQUEST)]


@pytest.fixture(scope="module")
def tree(both: Both, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small tree, made by the published client."""
    record = tmp_path_factory.mktemp("files") / "a record.json"
    record.write_text('{"a":1}\n')
    both.ok("mmkdir", "-p", "~~/stor/tree/one/two")
    both.ok("mput", "-f", str(record), "~~/stor/tree/one")
    both.ok("mput", "-H", "m-colour: red", "-H", "content-type: text/x-notes", "~~/stor/tree/notes", stdin="notes\n")
    both.ok("mput", "~~/stor/tree/one/two/naïve %41 b", stdin="")
    return "/jill/stor/tree"


def test_a_file_put_into_a_directory_keeps_its_name_and_gets_its_type(both: Both, tree: str) -> None:
    path = f"{tree}/one/a record.json"
    assert both.run("mget", path).out == '{"a":1}\n'
    assert "content-type: application/json" in both.run("minfo", path, shape=lasting_headers).out.splitlines()


def test_an_object_of_two_megabytes_comes_back_whole(both: Both, tmp_path: Path) -> None:
    text = "".join(f"{number}\n" for number in range(300_000))
    (tmp_path / "sent").write_text(text)
    both.ok("mput", "-m", "-f", str(tmp_path / "sent"), "~~/stor/large")
    both.ok("mget", "-o", str(tmp_path / "got"), "~~/stor/large")
    assert (tmp_path / "got").read_text() == text


def test_mput_makes_parents_when_told_to(both: Both) -> None:
    both.ok("mput", "-p", "~~/stor/new/and/deep/x", stdin="body\n")
    assert both.run("mget", "~~/stor/new/and/deep/x", "~~/stor/new/and/deep/x").out == "body\nbody\n"


@pytest.mark.parametrize(
    "words",
    variants(["-l", "-j", "-t", "--type d", "-m one"], 2),
)
def test_mls_prints_the_same(both: Both, tree: str, words: str) -> None:
    said = both.run("mls", *words.split(), tree)
    assert (said.code, "one" in said.out or "notes" in said.out) == (0, True)


def test_mls_of_an_object_and_of_the_top_prints_the_same(both: Both, tree: str) -> None:
    assert both.run("mls", f"{tree}/notes").out == "notes\n"
    assert "stor/\n" in both.run("mls", "/jill").out


@thorough  # ours alone is tried by test_cli_objects.py
def test_a_directory_longer_than_a_page_is_listed_to_the_end(both: Both, user: User) -> None:
    both.ok("mmkdir", "~~/stor/long")
    names = [f"{number:04}" for number in range(1030)]
    put_many(user.session, {f"/jill/stor/long/{name}": b"" for name in names})
    assert both.run("mls", "~~/stor/long").out.split() == names
    both.ok("mrm", "-r", "~~/stor/long")
    assert both.run("mls", "~~/stor/long").err == "mls: ResourceNotFoundError: /jill/stor/long was not found\n"


@pytest.mark.parametrize(
    ("words", "found"),
    variants(
        [
            ("", {"notes", "one", "one/two", "one/a record.json", "one/two/naïve %41 b"}),
            (r"-n o.*\.json$", {"one/a record.json"}),
            ("-t o -s 7", {"one/a record.json"}),
            ("--mindepth 2 -t o", {"one/two/naïve %41 b"}),
        ]
    ),
)
def test_mfind_finds_the_same(both: Both, tree: str, words: str, found: set[str]) -> None:
    said = both.run("mfind", *words.split(), tree, shape=lines)
    assert {line.removeprefix(f"{tree}/") for line in said.out.splitlines()} == found


def test_mfind_prints_the_same_records(both: Both, tree: str) -> None:
    assert len(both.run("mfind", "-j", tree, shape=lines).out.splitlines()) == 5


def test_minfo_shows_the_same_headers(both: Both, tree: str) -> None:
    said = both.run("minfo", f"{tree}/notes", shape=lasting_headers)
    assert {"m-colour: red", "content-type: text/x-notes"} < set(said.out.splitlines())
    both.run("minfo", tree, shape=lasting_headers)
    both.run("minfo", f"{tree}/none", shape=lasting_headers)

    def keys(text: str) -> dict[str, object]:
        return {key: value for key, value in json.loads(text).items() if not f"{key}: ".startswith(OF_ONE_REQUEST)}

    assert keys(both.run("minfo", "-j", f"{tree}/notes", shape=keys).out)["status"] == "HTTP/1.1 200 OK"


def test_mmd5_is_the_md5(both: Both, tree: str) -> None:
    digest = hashlib.md5(b"notes\n").hexdigest()
    assert both.run("mmd5", f"{tree}/notes").out == f"{digest}  {tree}/notes\n"


def test_mln_gives_a_second_name_that_stays(both: Both) -> None:
    both.ok("mput", "~~/stor/first", stdin="one\n")
    both.ok("mln", "~~/stor/first", "~~/stor/second")
    both.ok("mput", "~~/stor/first", stdin="two\n")
    assert both.run("mget", "~~/stor/first", "~~/stor/second").out == "two\none\n"


def test_mchattr_replaces_what_was_stored_about_an_object(both: Both) -> None:
    both.ok("mput", "-H", "m-old: 1", "~~/stor/attributes", stdin="kept\n")
    both.run("mchattr", "-H", "m-new: 2", "~~/stor/attributes")
    shown = both.run("minfo", "~~/stor/attributes", shape=lasting_headers).out
    assert ("m-new: 2\n" in shown, "m-old" in shown, both.ok("mget", "~~/stor/attributes")) == (True, False, "kept\n")


def test_mrm_and_mrmdir_remove(both: Both) -> None:
    both.ok("mput", "-p", "~~/stor/doomed/a/b", stdin="x")
    full = both.run("mrmdir", "~~/stor/doomed")
    assert (full.code, full.err) == (1, "mrmdir: DirectoryNotEmptyError: /jill/stor/doomed is not empty\n")
    both.ok("mrm", "~~/stor/doomed/a/b")
    both.ok("mrmdir", "~~/stor/doomed/a")
    assert both.run("mls", "~~/stor/doomed").out == ""


def test_a_tarball_and_a_directory_arrive_whole(both: Both, tmp_path: Path) -> None:
    """They make parents as `mput -p` does: the service must refuse before it has taken a body that is sent once."""
    (tmp_path / "tree/below").mkdir(parents=True)
    for name in ("one", "below/two"):
        (tmp_path / "tree" / name).write_text(f"{name}\n")
    subprocess.run(["tar", "-cf", "t.tar", "tree"], cwd=tmp_path, check=True)
    assert both.node("muntar", "-f", str(tmp_path / "t.tar"), "~~/stor/untarred").code == 0
    assert both.node("msync", str(tmp_path / "tree"), "~~/stor/synced").code == 0
    for place in ("untarred/tree", "synced"):
        assert both.ok("mget", f"~~/stor/{place}/one", f"~~/stor/{place}/below/two") == "one\nbelow/two\n"


def test_what_is_not_offered_is_refused_in_words(both: Both) -> None:
    said = both.node("mmpu", "create", "~~/stor/x")
    assert said.code == 1
    assert said.err == "mmpu create: error: multipart upload is not supported for this Manta deployment\n"


@pytest.mark.parametrize(
    ("words", "message"),
    variants(
        [
            ("mls /jill/stor/none", "ResourceNotFoundError: /jill/stor/none was not found"),
            ("mget /jill/stor/none", "ResourceNotFoundError: /jill/stor/none was not found"),
            ("mrm -r /jill/stor/none", None),
            ("mmkdir /jill/stor/none/x", "DirectoryDoesNotExistError: /jill/stor/none does not exist"),
            ("mput /jill/stor/none/x", "DirectoryDoesNotExistError: /jill/stor/none does not exist"),
            ("mput /jill/stor/tree/notes/x", "ParentNotDirectoryError: /jill/stor/tree/notes is not a directory"),
            ("mrmdir /jill/stor/none", "ResourceNotFoundError: /jill/stor/none was not found"),
            ("mchattr -H m-a:b /jill/stor/none", "ResourceNotFoundError: /jill/stor/none was not found"),
            ("mln /jill/stor/none /jill/stor/x", "SourceObjectNotFoundError: /jill/stor/none was not found"),
            ("mfind /jill/stor/none", "in /jill/stor/none: NotFoundError"),
            ("mget /nobody/stor/x", "AccountDoesNotExistError: nobody does not exist"),
            ("mls /nobody/stor", None),
        ],
        2,
    ),
)
def test_what_is_wrong_is_said_in_the_same_words(both: Both, tree: str, words: str, message: str | None) -> None:
    name, *rest = words.split()
    said = both.run(name, *rest)
    assert (said.code, said.out) == (1, "")
    assert said.err == f"{name}: {message}\n" if message else said.err.startswith(f"{name}: ")


def test_a_command_that_objects_by_itself_does_so_here_too(both: Both, tree: str) -> None:
    for words, message in (
        (("mrm", tree), f"{tree} is not an object"),
        (("mput", tree), "cannot infer name without -f"),
        (("mrmdir", f"{tree}/notes"), f"{tree}/notes is not a directory"),
    ):
        theirs, ours = both.each(*words)
        assert (theirs.code, theirs.err) == (ours.code, ours.err.removeprefix(f"{words[0]}: ")) == (1, f"{message}\n")


def test_the_key_may_be_named_by_its_sha256(both: Both, tree: str) -> None:
    fingerprint = PublicKey.parse(public_line(KEYS["rsa"])).sha256
    assert both.run("mget", f"{tree}/notes", MANTA_KEY_ID=fingerprint).out == "notes\n"


def test_without_a_signature_nothing_private_is_shown(both: Both, tree: str) -> None:
    said = both.run("mget", f"{tree}/notes", MANTA_NO_AUTH="true")
    assert said.err == f"mget: AuthorizationFailedError: anonymous is not allowed to access {tree}/notes\n"


def test_a_signature_of_another_account_is_refused(both: Both, tree: str) -> None:
    said = both.run("mls", tree, MANTA_USER="bob")
    key = PublicKey.parse(public_line(KEYS["rsa"])).md5
    assert (said.code, said.err) == (1, f"mls: KeyDoesNotExistError: /bob/keys/{key} does not exist\n")


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with httpx.Client() as client:
        yield client


def test_a_signed_address_opens_one_object_for_a_while(both: Both, http: httpx.Client, tree: str) -> None:
    addresses = both.ok("msign", "-m", "GET", "-m", "HEAD", f"{tree}/notes", f"{tree}/one/a record.json")
    address, later = sorted(addresses.splitlines())  # they come in any order
    assert http.get(address).text == "notes\n"
    assert http.head(address).status_code == 200
    assert http.get(later).text == '{"a":1}\n'
    old = both.ok("msign", "-e", str(int(time.time()) - 1), f"{tree}/notes").strip()
    altered = [
        old,
        address.replace("/notes?", "/one/a%20record.json?"),
        re.sub(r"expires=\d+", lambda match: f"{match[0]}0", address),
        address[:-8] + "AAAAAA%3D",
        address.replace("GET%2CHEAD", "GET%2CDELETE"),
        address.partition("?")[0],
    ]
    assert [http.get(one).status_code for one in altered] == [403] * len(altered)
    assert http.delete(address).status_code == 403
    assert http.put(address, content=b"x").status_code == 403


def test_a_signed_address_for_writing_takes_an_object(both: Both, http: httpx.Client) -> None:
    address = both.ok("msign", "-m", "PUT", "~~/stor/delivered").strip()
    assert http.put(address, content=b"from outside\n").status_code == 204
    assert http.get(address).status_code == 403
    assert both.ok("mget", "~~/stor/delivered") == "from outside\n"
