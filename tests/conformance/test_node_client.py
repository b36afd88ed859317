"""Scripts from the days of Manta: its published client stores objects and runs jobs here.

Where a command of ours exists, it is run too, and must say the same. What differs, and is meant to:

- ours names itself before every message (`mrm: x is not an object`, `mjob addinputs: error: …`),
  shows the first error of a job that failed, and adds the usage to a usage error;
- `mfind ~~/x` names a missing path in full, and `mput` says why it was forbidden;
- `mjob create --dry-run` shows the empty name that is sent.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import Both, Said

from scheduler.model.httpsig import PublicKey
from scheduler.records.database import Database
from scheduler.supervisor.retention import LINGER_MS, purge_expired
from tests.support.gate import Gate
from tests.support.gateway import KEYS, public_line
from tests.support.machine import needs_namespaces
from tests.support.objects import put_many
from tests.support.service import Service
from tests.support.user import User

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
NOBODY = "11111111-2222-4333-8444-555555555555"
# Headers that differ from request to request, and those that the published client adds by itself.
OF_ONE_REQUEST = ("date: ", "x-request-", "x-response-time: ")


def lines(text: str) -> list[str]:
    """Lines whose order means nothing."""
    return sorted(text.splitlines())


def lasting_headers(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(OF_ONE_REQUEST)]


# Storage.


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
    ["-l", "-j", "-t", "--type d", "-m one"],
)
def test_mls_prints_the_same(both: Both, tree: str, words: str) -> None:
    said = both.run("mls", *words.split(), tree)
    assert (said.code, "one" in said.out or "notes" in said.out) == (0, True)


def test_mls_of_an_object_and_of_the_top_prints_the_same(both: Both, tree: str) -> None:
    assert both.run("mls", f"{tree}/notes").out == "notes\n"
    assert "stor/\n" in both.run("mls", "/jill").out


def test_a_directory_longer_than_a_page_is_listed_to_the_end(both: Both, user: User) -> None:
    both.ok("mmkdir", "~~/stor/long")
    names = [f"{number:04}" for number in range(1030)]
    put_many(user.session, {f"/jill/stor/long/{name}": b"" for name in names})
    assert both.run("mls", "~~/stor/long").out.split() == names
    both.ok("mrm", "-r", "~~/stor/long")
    assert both.run("mls", "~~/stor/long").err == "mls: ResourceNotFoundError: /jill/stor/long was not found\n"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", {"notes", "one", "one/two", "one/a record.json", "one/two/naïve %41 b"}),
        (r"-n o.*\.json$", {"one/a record.json"}),
        ("-t o -s 7", {"one/a record.json"}),
        ("--mindepth 2 -t o", {"one/two/naïve %41 b"}),
    ],
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
    assert both.ok("mmd5", f"{tree}/notes") == f"{digest}  {tree}/notes\n"
    shown = f"content-md5: {base64.b64encode(bytes.fromhex(digest)).decode()}"
    assert shown in both.ours("minfo", f"{tree}/notes").out.splitlines()


def test_mln_gives_a_second_name_that_stays(both: Both) -> None:
    both.ok("mput", "~~/stor/first", stdin="one\n")
    both.ok("mln", "~~/stor/first", "~~/stor/second")
    both.ok("mput", "~~/stor/first", stdin="two\n")
    assert both.run("mget", "~~/stor/first", "~~/stor/second").out == "two\none\n"


def test_mchattr_replaces_what_was_stored_about_an_object(both: Both) -> None:
    both.ok("mput", "-H", "m-old: 1", "~~/stor/attributes", stdin="kept\n")
    both.ok("mchattr", "-H", "m-new: 2", "~~/stor/attributes")
    shown = both.run("minfo", "~~/stor/attributes", shape=lasting_headers).out
    assert ("m-new: 2\n" in shown, "m-old" in shown, both.ok("mget", "~~/stor/attributes")) == (True, False, "kept\n")


def test_mrm_and_mrmdir_remove(both: Both) -> None:
    both.ok("mput", "-p", "~~/stor/doomed/a/b", stdin="x")
    full = both.node("mrmdir", "~~/stor/doomed")
    assert (full.code, full.err) == (1, "mrmdir: DirectoryNotEmptyError: /jill/stor/doomed is not empty\n")
    both.ok("mrm", "~~/stor/doomed/a/b")
    both.ok("mrmdir", "~~/stor/doomed/a")
    assert both.run("mls", "~~/stor/doomed").out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("mls /jill/stor/none", "ResourceNotFoundError: /jill/stor/none was not found"),
        ("mget /jill/stor/none", "ResourceNotFoundError: /jill/stor/none was not found"),
        ("mrm -r /jill/stor/none", None),
        ("mmkdir /jill/stor/none/x", "DirectoryDoesNotExistError: /jill/stor/none does not exist"),
        ("mput /jill/stor/none/x", "DirectoryDoesNotExistError: /jill/stor/none does not exist"),
        ("mput /jill/stor/tree/notes/x", "ParentNotDirectoryError: /jill/stor/tree/notes is not a directory"),
        ("mln /jill/stor/none /jill/stor/x", "SourceObjectNotFoundError: /jill/stor/none was not found"),
        ("mfind /jill/stor/none", "in /jill/stor/none: NotFoundError"),
        ("mget /nobody/stor/x", "AccountDoesNotExistError: nobody does not exist"),
        ("mls /nobody/stor", None),
    ],
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
    assert (said.code, said.err) == (1, "mls: AccountDoesNotExistError: bob does not exist\n")


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


# Jobs.


@pytest.fixture(scope="module")
def inputs(both: Both, user: User) -> str:
    """Three objects, as `mfind` names them; and their names, as an object that is a manifest."""
    user.session.call("PUT", "/jill/stor/in", headers={"content-type": "application/json; type=directory"})
    put_many(user.session, {f"/jill/stor/in/{n}": f"common w{n}\nline l{n}\n".encode() for n in (1, 2, 3)})
    found = "".join(f"{line}\n" for line in lines(both.ok("mfind", "-t", "o", "~~/stor/in")))
    user.put("inputs", found.encode())
    return found


def without_ids(text: str) -> str:
    return re.sub(UUID, "ID", text)


JOBS = {
    "a map": (["-m", "echo $(wc)"], ["2 4 18"] * 3),
    "a map and a reduce": (["-m", "cut -d' ' -f1", "-r", "sort | uniq -c | awk '{print $1 $2}'"], ["3common", "3line"]),
    "an expression": (["tail -n1", "^", "cat", "^^", "sort"], ["line l1", "line l2", "line l3"]),
    "two reducers of an expression": (["cut -d' ' -f1 | msplit -n 2", "^^^^", "wc -l"], ["0", "6"]),
    "two reducers": (
        ["-m", "msplit -d ' ' -f 2 -n 2", "--count", "2", "-r", "echo $MANTA_REDUCER $(sort)"],
        ["0 common w1 common w2 common w3 line l3", "1 line l1 line l2"],
    ),
    "an init": (
        ["--init", "exit 0", "--memory", "256", "--disk", "2", "-m", "head -1"],
        [f"common w{n}" for n in "123"],
    ),
    "phases that pipe": (["-m", "head -1 | mpipe", "-m", "cut -d' ' -f2"], ["w1", "w2", "w3"]),
}


@pytest.mark.parametrize("kind", JOBS)
def test_a_job_gives_its_outputs(both: Both, inputs: str, kind: str) -> None:
    words, expected = JOBS[kind]
    theirs, ours = both.each("mjob", "create", "-o", *words, stdin=inputs)
    assert (theirs.code, lines(theirs.out)) == (ours.code, lines(ours.out)) == (0, expected)
    assert without_ids(theirs.err) == without_ids(ours.err) == "added 3 inputs to ID\n"


def test_a_manifest_is_the_input_of_a_job_that_reads_what_it_names(both: Both, inputs: str) -> None:
    words = ("mjob", "create", "-q", "-o", "-m", "xargs mcat", "-m", "wc")
    theirs, ours = both.each(*words, stdin="~~/stor/inputs\n")
    assert (theirs.code, theirs.out.split(), theirs.err) == (0, ["2", "4", "18"] * 3, "")
    assert ours == theirs


@needs_namespaces
def test_an_asset_is_set_up_by_init_and_used_by_every_task(both: Both, inputs: str) -> None:
    both.ok("mput", "~~/stor/tool", stdin='#!/bin/sh\necho "$1 $(wc -l)"\n')
    words = ("-s", "~~/stor/tool", "--init", "cp /assets/jill/stor/tool /tmp/t", "-m", "/tmp/t lines")
    theirs, ours = both.each("mjob", "create", "-q", "-o", *words, stdin=inputs)
    assert theirs == ours == Said(0, "lines 2\n" * 3, "")


def test_a_job_of_a_file_is_used_as_it_is(both: Both, inputs: str, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(
        '{"name":"of a file","phases":[{"exec":"cat"},{"type":"reduce","exec":"wc -l"}]}'
    )
    job = both.ok("mjob", "create", "-q", "-w", "-f", str(tmp_path / "job.json"), stdin=inputs).strip()
    status = json.loads(both.run("mjob", "get", job).out)
    assert (status["name"], status["state"], status["stats"]["outputs"]) == ("of a file", "done", 1)


@pytest.fixture(scope="module")
def partly(both: Both, user: User, inputs: str) -> str:
    """A job of which one task succeeds and two inputs fail, each in its way; archived."""
    words = ("-n", "partly", "-m", "grep w2 || exit 3")
    job = both.ok("mjob", "create", "-q", *words, stdin=f"{inputs}~~/stor/none\n").strip()
    status = user.wait(job, lambda status: "timeArchiveDone" in status)
    assert (status["stats"]["tasks"], status["stats"]["errors"]) == (3, 3)
    return job


def test_status_and_lists_of_a_job_are_the_same(both: Both, partly: str, inputs: str) -> None:
    theirs, ours = both.each("mjob", "watch", partly)
    assert (ours.code, ours.out) == (theirs.code, theirs.out) == (0, both.run("mjob", "get", partly).out)
    assert lines(both.run("mjob", "inputs", partly).out) == [*lines(inputs), "/jill/stor/none"]
    (output,) = both.run("mjob", "outputs", f"/jill/jobs/{partly}").out.splitlines()
    assert re.fullmatch(rf"/jill/jobs/{partly}/stor/jill/stor/in/2\.0\.{UUID}", output)
    assert both.run("mget", output).out == "common w2\n"
    failed = [name for name in (*lines(inputs), "/jill/stor/none") if not name.endswith("2")]
    assert lines(both.run("mjob", "failures", partly).out) == failed


def test_errors_of_a_job_say_what_happened_where(both: Both, partly: str) -> None:
    errors = {error["input"]: error for error in map(json.loads, both.run("mjob", "errors", partly).out.splitlines())}
    assert errors["/jill/stor/none"]["code"] == "ResourceNotFoundError"
    assert errors["/jill/stor/none"]["message"] == 'no such object: "/jill/stor/none"'
    assert errors["/jill/stor/in/1"]["message"] == "user command exited with code 3"
    assert both.ok("mget", errors["/jill/stor/in/1"]["stderr"]) == ""


def test_a_job_with_errors_prints_no_outputs_and_fails(both: Both, inputs: str) -> None:
    theirs, ours = both.each("mjob", "create", "-o", "-m", "grep w2", stdin=inputs)
    assert (theirs.code, theirs.out) == (ours.code, ours.out) == (1, "")
    last = [without_ids(said.err.splitlines()[-1]) for said in (theirs, ours)]
    assert last == ["mjob create: error: job ID had 2 errors"] * 2


def test_jobs_are_listed_by_name_and_by_state(both: Both, partly: str) -> None:
    assert f"{partly}/\n" in both.run("mjob", "list").out
    assert both.run("mjob", "list", "-n", "partly").out == f"{partly}/\n"
    line = next(line for line in both.run("mjob", "list", "-l").out.splitlines() if partly in line)
    assert re.fullmatch(rf"drwxr-xr-x 1 jill 1 \w{{3}} \d\d \d\d:\d\d {partly}", line)
    assert partly in both.run("mjob", "list", "-s", "done").out


def test_an_open_job_takes_inputs_until_it_is_closed(both: Both, inputs: str) -> None:
    job = both.ok("mjob", "create", "--open", "-r", "sort").strip()
    assert both.run("mjob", "list", "-s", "running").out == f"{job}/\n"
    one, two, three = inputs.splitlines()
    for run, name in ((both.node, one), (both.ours, two), (both.node, three)):
        assert run("mjob", "addinputs", "--open", job, stdin=name) == Said(0, "", f"added 1 input to {job}\n")
    assert json.loads(both.run("mjob", "get", job).out)["inputDone"] is False
    both.ok("mjob", "close", job)
    both.ok("mjob", "watch", job)
    assert both.ok("mget", both.ok("mjob", "outputs", job).strip()) == "".join(
        [f"common w{n}\n" for n in "123"] + [f"line l{n}\n" for n in "123"]
    )
    late = both.each("mjob", "addinputs", job, stdin=one)
    assert [said.code for said in late] == [1, 1]
    assert [said.err.partition("rror: ")[2] for said in late] == [f"job {job} is in state 'done'\n"] * 2


def test_addinputs_closes_the_job_unless_told_otherwise(both: Both, inputs: str) -> None:
    job = both.ok("mjob", "create", "--open", "-m", "wc").strip()
    both.node("mjob", "addinputs", job, stdin=inputs)
    assert json.loads(both.ok("mjob", "watch", job))["stats"]["outputs"] == 3


def test_a_cancelled_job_is_done_and_takes_nothing_more(both: Both, inputs: str) -> None:
    with Gate() as gate:
        job = both.ok("mjob", "create", "-q", "-m", gate.wait(), stdin=inputs.splitlines()[0]).strip()
        gate.arrivals(1)
        both.ok("mjob", "cancel", job)
    both.ok("mjob", "watch", job)
    status = json.loads(both.run("mjob", "get", job).out)
    assert (status["state"], status["cancelled"]) == ("done", True)
    (error,) = map(json.loads, both.run("mjob", "errors", job).out.splitlines())
    assert (error["code"], error["message"]) == ("JobCancelledError", "job was cancelled")
    assert both.run("mjob", "cancel", job).err == f"mjob cancel: error: job {job} is in state 'cancelled'\n"


@pytest.mark.parametrize("words", ["get", "outputs", "watch", "close"])
def test_a_job_that_never_was_is_reported_in_the_same_words(both: Both, words: str) -> None:
    said = both.run("mjob", words, NOBODY)
    assert (said.code, said.out) == (1, "")
    assert re.fullmatch(rf"mjob {words}: error: /jill/jobs/{NOBODY}/\S+ (was not found|does not exist)\n", said.err)


@pytest.mark.parametrize(
    "words",
    [
        ["frob"],
        ["create", "--memory", "3", "-m", "wc"],
        ["create", "--image", "nonsense", "-m", "wc"],
    ],
)
def test_a_job_that_cannot_be_is_refused_in_the_same_words(both: Both, words: list[str]) -> None:
    said = both.run("mjob", *words)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("mjob")


@pytest.mark.parametrize("style", [["-m", "wc"], ["wc"]], ids=["options", "expression"])
def test_an_asset_that_is_no_path_is_refused_before_there_is_a_job(both: Both, style: list[str]) -> None:
    theirs, ours = both.each("mjob", "create", "-s", "relative/x", *style)
    assert (theirs.code, theirs.out) == (ours.code, ours.out) == (1, "")
    assert theirs.err == "mjob: error: relative/x is not a valid Manta path\n"
    assert ours.err == "mjob create: error: relative/x is not a valid Manta path\n"


@pytest.mark.parametrize("words", [["create"], ["create", "-m", "wc", "x"], ["get"]])
def test_wrong_usage_of_mjob_begins_with_the_same_words(both: Both, words: list[str]) -> None:
    theirs, ours = both.each("mjob", *words)
    assert (theirs.code, theirs.out) == (ours.code, ours.out) == (1, "")
    assert ours.err.startswith(f"{theirs.err}usage: mjob {words[0]} ")


@pytest.mark.parametrize(
    "words",
    [
        ["-s", "~~/stor/a", "--init", "echo ü", "--image", ">=1", "-m", "wc", "--count", "2", "-r", "cat"],
        ["-s", "~~/stor/a", "--memory", "256", "wc", "^", "cat", "^^^^", "cat"],
    ],
    ids=["options", "expression"],
)
def test_the_same_words_describe_the_same_job(both: Both, words: list[str]) -> None:
    assert '"exec": "wc"' in both.run("mjob", "create", "--dry-run", "-n", "x", *words).out


def test_a_job_is_shared_as_a_page(both: Both, partly: str) -> None:
    page = both.ok("mjob", "share", "-s", partly)
    assert "common w2" in page
    assert "user command exited with code 3" in page


def test_long_after_its_end_a_job_is_told_from_its_archive(
    both: Both, service: Service, user: User, inputs: str
) -> None:
    job = both.ok("mjob", "create", "-q", "-m", "grep w2", stdin=inputs).strip()
    user.wait(job, lambda status: "timeArchiveDone" in status)
    asked = ("get", "inputs", "outputs", "errors", "failures")
    live = {name: lines(both.ok("mjob", name, job)) for name in asked[1:] if name != "errors"}
    forget_archived_jobs(service)
    archived = {name: both.run("mjob", name, job).out for name in asked}
    status = json.loads(archived.pop("get"))
    errors = [json.loads(line) for line in archived.pop("errors").splitlines()]
    assert [(error["code"], error["phaseNum"]) for error in errors] == [("UserTaskError", "0")] * 2
    assert (status["id"], status["state"], status["stats"]["errors"]) == (job, "done", 2)
    assert {name: lines(text) for name, text in archived.items()} == live
    assert both.ok("mls", f"~~/jobs/{job}") == "err.txt\nfail.txt\nin.txt\njob.json\nout.txt\nstor/\n"


def forget_archived_jobs(service: Service) -> None:
    """What the service itself does when the records of its jobs have been kept long enough."""
    database = Database(service.state_dir / "remora.db")
    try:
        asyncio.run(purge_expired(database, time.time_ns() // 1_000_000 + LINGER_MS))
    finally:
        database.close()
