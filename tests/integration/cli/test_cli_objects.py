"""The object commands against a real gateway, each run as a process."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from scheduler.model.credentials.httpsig import PublicKey
from tests.support.services.cli_service import ROOT, Service, gateway, write_key
from tests.support.services.objects import put_many
from tests.support.services.plain_manta import Reply, manta


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def here(service: Service, request: pytest.FixtureRequest) -> str:
    """A directory of the test's own."""
    path = f"~~/stor/{re.sub(r'[^a-z]+', '-', request.node.name)[:60]}"
    service.make(path)
    return path


def test_what_mput_stores_from_a_pipe_mget_gives_back(service: Service, here: str) -> None:
    service.ok("mput", f"{here}/a b.txt", stdin=b"one\ntwo\n")
    assert service.ok("mget", f"{here}/a b.txt") == "one\ntwo\n"


def test_several_objects_come_one_after_another(service: Service, here: str) -> None:
    for name in ("a", "b"):
        service.put(f"{here}/{name}", name.encode())
    assert service.ok("mget", f"{here}/b", f"{here}/a", f"{here}/b") == "bab"


def test_large_files_travel_whole_with_their_md5(service: Service, here: str, tmp_path: Path) -> None:
    data = hashlib.shake_256(b"seed").digest(5_000_000)
    (tmp_path / "large.bin").write_bytes(data)
    service.ok("mput", "-m", "-f", str(tmp_path / "large.bin"), here)
    service.ok("mget", "-o", str(tmp_path / "back"), f"{here}/large.bin")
    assert (tmp_path / "back").read_bytes() == data


def test_mput_into_a_directory_takes_the_name_of_the_file(service: Service, here: str, tmp_path: Path) -> None:
    (tmp_path / "lear.txt").write_text("Nothing will come of nothing")
    service.ok("mput", "-f", str(tmp_path / "lear.txt"), here)
    assert service.ok("mls", here) == "lear.txt\n"
    headers = service.ok("minfo", f"{here}/lear.txt")
    assert headers.startswith("HTTP/1.1 200 OK\n")
    assert "\ncontent-type: text/plain\n" in headers
    assert headers.endswith("\n\n")


def test_mput_into_a_directory_from_a_pipe_has_no_name(service: Service, here: str) -> None:
    result = service.run("mput", here)
    assert (result.code, result.err) == (1, "mput: cannot infer name without -f\n")


def test_mput_without_parents_names_the_missing_directory(service: Service, here: str) -> None:
    result = service.run("mput", f"{here}/x/y/z", stdin=b"1")
    missing = here.replace("~~", "/jill") + "/x/y"
    assert (result.code, result.err) == (1, f"mput: DirectoryDoesNotExistError: {missing} does not exist\n")


def test_mput_with_parents_makes_them(service: Service, here: str) -> None:
    service.ok("mput", "-p", f"{here}/x/y/z", stdin=b"1")
    assert service.ok("mfind", here).split() == [
        f"{here}/{name}".replace("~~", "/jill") for name in ("x", "x/y", "x/y/z")
    ]


def test_mput_of_a_directory_or_nothing_says_so(service: Service, here: str, tmp_path: Path) -> None:
    said = service.run("mput", "-f", str(tmp_path), f"{here}/a").err
    assert said == f"mput: {tmp_path} is not a file (-r stores directories)\n"
    assert service.run("mput", "-f", "nowhere", f"{here}/a").err == "mput: nowhere does not exist\n"
    assert service.run("mput", "-m", f"{here}/a").err.endswith("\n--md5 requires --file\n")


def test_mput_whose_condition_fails_says_so(service: Service, here: str) -> None:
    service.put(f"{here}/a", b"1")
    result = service.run("mput", "-H", 'if-match: "wrong"', f"{here}/a", stdin=b"2")
    assert (result.code, result.err) == (1, "mput: Cannot write because HTTP precondition not met.\n")
    assert service.ok("mget", f"{here}/a") == "1"


def test_headers_are_stored_and_shown(service: Service, here: str) -> None:
    service.ok("mput", "-H", "m-colour: deep red", "-H", "content-type: text/x", f"{here}/a", stdin=b"1")
    record = json.loads(service.ok("minfo", "-j", f"{here}/a"))
    assert (record["status"], record["statusCode"]) == ("HTTP/1.1 200 OK", 200)
    assert (record["m-colour"], record["content-type"]) == ("deep red", "text/x")


def test_a_header_without_a_colon_is_refused(service: Service, here: str) -> None:
    result = service.run("mput", "-H", "colour", f"{here}/a")
    assert result.code == 1
    assert result.err.endswith('\nheader must be in the form of "[header]: value"\n')


def test_minfo_of_nothing_shows_the_status_and_succeeds(service: Service, here: str) -> None:
    assert service.ok("minfo", f"{here}/none").startswith("HTTP/1.1 404 Not Found\n")


def test_mget_of_nothing_names_the_path(service: Service, here: str) -> None:
    result = service.run("mget", f"{here}/none")
    path = here.replace("~~", "/jill") + "/none"
    assert (result.code, result.err) == (1, f"mget: ResourceNotFoundError: {path} was not found\n")


def test_mget_to_a_file_that_cannot_be_written_leaves_no_trace_of_python(service: Service, here: str) -> None:
    service.put(f"{here}/a", b"1")
    result = service.run("mget", "-o", "no/such/dir", f"{here}/a")
    assert (result.code, result.err) == (1, "mget: no/such/dir: No such file or directory\n")


def test_mget_of_nothing_leaves_the_file_as_it_was(service: Service, here: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("precious")
    assert service.run("mget", "-o", str(tmp_path / "kept"), f"{here}/none").code == 1
    assert (tmp_path / "kept").read_text() == "precious"
    service.ok("mput", f"{here}/empty")
    service.ok("mget", "-o", str(tmp_path / "kept"), f"{here}/empty")
    assert (tmp_path / "kept").read_bytes() == b""


def test_mget_that_fails_midway_leaves_the_old_file_and_no_half_one(service: Service, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("precious")
    with manta() as plain:
        plain.replies["GET /jill/stor/a"] = [Reply(body=b"half a", cut=3)]
        result = service.run("mget", "-o", str(tmp_path / "kept"), "/jill/stor/a", env=plain.environ())
    assert result.code == 1
    assert "received 3 bytes, expected 6" in result.err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"kept": "precious"}


def test_mget_keeps_the_mode_of_a_file_and_writes_through_links(service: Service, here: str, tmp_path: Path) -> None:
    service.put(f"{here}/a", b"new")
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    service.ok("mget", "-o", str(tmp_path / "file"), f"{here}/a")
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    service.put(f"{here}/a", b"newer")
    service.ok("mget", "-o", str(tmp_path / "link"), f"{here}/a")
    assert ((tmp_path / "file").read_text(), (tmp_path / "link").is_symlink()) == ("newer", True)


@pytest.mark.parametrize("words", [["mput"], ["mput", "-f", "fifo-is-no-file"]])
def test_mput_that_is_interrupted_stores_nothing(service: Service, here: str, words: list[str], tmp_path: Path) -> None:
    if words[1:]:  # a file whose end never comes: it is larger than what the service takes in before it looks up
        with (tmp_path / "large").open("wb") as file:
            file.truncate(1 << 40)
        words = ["mput", "-f", str(tmp_path / "large")]
    process = service.start(*words, "--progress", f"{here}/half")
    assert process.stdin and process.stdout and process.stderr
    if not words[1:]:
        process.stdin.write(b"x" * 3_000_000)
        process.stdin.flush()
    process.stderr.read(1)  # the progress line: bytes move
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    for pipe in (process.stdin, process.stdout, process.stderr):
        with suppress(BrokenPipeError):
            pipe.close()
    assert service.run("mls", f"{here}/half").code == 1


def test_mget_remote_name_takes_one_object(service: Service, here: str) -> None:
    service.put(f"{here}/remote", b"1")
    service.ok("mget", "-O", f"{here}/remote")
    assert (service.home / "remote").read_bytes() == b"1"
    message = "--remote-name only works with a single object path\n"
    assert service.run("mget", "-O", f"{here}/a", f"{here}/b").err.endswith(f"\n{message}")


def test_mls_long_and_json(service: Service, here: str) -> None:
    service.put(f'{here}/a\\\n"b', b"x" * 1536)
    service.make(f"{here}/d")
    assert service.ok("mls", here) == 'a\\\\\\n"b\nd/\n'
    lines = service.ok("mls", "-l", "-h", here).splitlines()
    assert re.fullmatch(r'-rwxr-xr-x 1 jill          1\.5K \w{3} \d\d \d\d:\d\d a\\\\\\n"b', lines[0])
    assert re.fullmatch(r"drwxr-xr-x 1 jill             0 \w{3} \d\d \d\d:\d\d d", lines[1])
    records = [json.loads(line) for line in service.ok("mls", "-j", here).splitlines()]
    assert [(one["type"], one["parent"]) for one in records] == [
        ("object", here.replace("~~", "/jill")),
        ("directory", here.replace("~~", "/jill")),
    ]


def test_mls_of_an_object_describes_it(service: Service, here: str) -> None:
    service.put(f"{here}/a.txt", b"hello")
    assert service.ok("mls", f"{here}/a.txt") == "a.txt\n"
    record = json.loads(service.ok("mls", "-j", f"{here}/a.txt"))
    assert (record["name"], record["extension"], record["size"]) == ("a.txt", "bin", 5)
    assert (record["type"], record["parent"]) == ("application/octet-stream", here.replace("~~", "/jill"))
    assert record["md5"] == "XUFAKrxLKna5cZ2REBfFkg=="
    assert json.loads(service.ok("mls", "--fulljson", f"{here}/a.txt"))["headers"]["etag"] == record["etag"]


def test_mls_orders_and_filters(service: Service, here: str) -> None:
    for name in ("a", "c", "b"):
        service.put(f"{here}/{name}", b"1")
    service.make(f"{here}/d")
    assert service.ok("mls", "-t", "--type", "o", here).split() == ["b", "c", "a"]
    assert service.ok("mls", "-t", "-r", here).split() == ["a", "c", "b", "d/"]
    assert service.ok("mls", "-r", here).split() == ["d/", "c", "b", "a"]
    assert service.ok("mls", "--type=d", here).split() == ["d/"]
    assert service.ok("mls", "-m", "b", here).split() == ["b", "c", "d/"]


def test_relative_names_of_mls_are_below_stor(service: Service, here: str) -> None:
    service.put(f"{here}/a", b"1")
    assert service.ok("mls", here.removeprefix("~~/stor/")) == "a\n"
    assert here.removeprefix("~~/stor/") + "/\n" in service.ok("mls")


def test_mls_of_nothing_is_an_error(service: Service, here: str) -> None:
    result = service.run("mls", f"{here}/none")
    path = here.replace("~~", "/jill") + "/none"
    assert (result.code, result.err) == (1, f"mls: ResourceNotFoundError: {path} was not found\n")


def test_listings_longer_than_a_page_are_complete(service: Service, here: str) -> None:
    names = [f"{number:05}" for number in range(1100)]
    put_many(service.session, {f"{here.replace('~~', '/jill')}/{name}": b"x" for name in names})
    assert service.ok("mls", here).split() == names
    assert service.ok("mls", "-r", here).split() == names[::-1]
    assert sorted(service.ok("mfind", here).split()) == [f"{here.replace('~~', '/jill')}/{name}" for name in names]
    service.ok("mrm", "-r", here)
    assert service.run("mls", here).code == 1


def test_mfind_filters(service: Service, here: str) -> None:
    service.ok("mmkdir", "-p", f"{here}/one/two")
    for name, size in (("top.log", 3), ("one/mid.txt", 30), ("one/two/low.log", 300)):
        service.put(f"{here}/{name}", b"x" * size)
    root = here.replace("~~", "/jill")

    def find(*options: str) -> set[str]:
        return {line.removeprefix(f"{root}/") for line in service.ok("mfind", *options, here).splitlines()}

    assert find("-n", r"\.log$") == {"top.log", "one/two/low.log"}
    assert find("-t", "d") == {"one", "one/two"}
    assert find("-t", "o", "-s", "30") == {"one/mid.txt", "one/two/low.log"}
    assert find("--maxdepth", "1") == {"top.log", "one"}
    assert find("--mindepth", "2") == {"one/two/low.log"}
    assert len(find("-l", "2")) == 2
    record = json.loads(service.ok("mfind", "-j", "-n", "low", here))
    assert (record["depth"], record["parent"], record["size"]) == (2, f"{root}/one/two", 300)


def test_mfind_goes_on_after_a_missing_path(service: Service, here: str) -> None:
    service.put(f"{here}/a", b"1")
    root = here.replace("~~", "/jill")
    result = service.run("mfind", f"{here}/none", f"{here}/a")
    assert (result.code, result.out) == (1, f"{root}/a\n")
    assert result.err == f"mfind: in {root}/none: NotFoundError\n"


def test_mfind_goes_on_after_a_forbidden_path(service: Service, here: str) -> None:
    service.put(f"{here}/a", b"1")
    result = service.run("mfind", "/joe/stor", here)
    assert (result.code, result.out) == (1, here.replace("~~", "/jill") + "/a\n")
    assert result.err == "mfind: in /joe/stor: AccountDoesNotExistError: joe does not exist\n"


def test_the_root_is_no_path(service: Service) -> None:
    for program in ("mls", "mget"):
        result = service.run(program, "/")
        assert (result.code, result.err) == (1, f"{program}: InvalidPathError: / is not a valid Manta path\n")


def test_mfind_refuses_a_broken_pattern(service: Service) -> None:
    result = service.run("mfind", "-n", "(", "~~/stor")
    assert result.code == 1
    assert "'(' is no regular expression" in result.err


def test_mln_gives_a_second_name(service: Service, here: str) -> None:
    service.put(f"{here}/a%b", b"1")
    service.ok("mln", f"{here}/a%b", f"{here}/c")
    service.put(f"{here}/a%b", b"2")
    assert service.ok("mget", f"{here}/c", f"{here}/a%b") == "12"


def test_mmkdir_needs_the_parent_unless_told_to_make_it(service: Service, here: str) -> None:
    result = service.run("mmkdir", f"{here}/x/y")
    path = here.replace("~~", "/jill") + "/x"
    assert (result.code, result.err) == (1, f"mmkdir: DirectoryDoesNotExistError: {path} does not exist\n")
    service.ok("mmkdir", "-p", f"{here}/x/y")
    service.ok("mmkdir", f"{here}/x/y")
    assert service.ok("mls", here) == "x/\n"


def test_mrm_removes_trees_only_when_told_to(service: Service, here: str) -> None:
    service.ok("mput", "-p", f"{here}/x/y/z", stdin=b"1")
    path = here.replace("~~", "/jill") + "/x"
    result = service.run("mrm", f"{here}/x")
    assert (result.code, result.err) == (1, f"mrm: {path} is not an object\n")
    service.ok("mrm", "-r", f"{here}/x")
    assert service.ok("mls", here) == ""
    assert service.run("mrm", f"{here}/x").err == f"mrm: ResourceNotFoundError: {path} was not found\n"


def test_mrm_does_not_ask_without_a_terminal(service: Service, here: str) -> None:
    assert service.run("mrm", "-I", f"{here}/x").err == "mrm: stdin must be a tty when interactive specified\n"


def test_a_path_is_required(service: Service) -> None:
    result = service.run("mget", "relative")
    assert result.code == 1
    assert result.err.endswith("\nusage: mget [OPTIONS] path... [dir]\noptions: mget --help\npath required\n")


def test_a_reader_that_has_seen_enough_is_no_error(service: Service, here: str) -> None:
    service.put(f"{here}/a", b"x" * 3_000_000)
    process = service.start("mget", f"{here}/a")
    assert process.stdin and process.stdout and process.stderr
    process.stdin.close()
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) == 0


def test_the_environment_wins_over_the_profile(service: Service) -> None:
    other = {"MANTA_URL": "http://127.0.0.1:1", "MANTA_USER": "jill"}
    result = service.run("mls", env=other)
    assert result.code == 1
    assert result.err == "usage: mls [OPTIONS] [path...]\noptions: mls --help\nkeyId is a required argument\n"


def test_a_service_that_is_not_there_is_named(service: Service) -> None:
    env = {"MANTA_URL": "http://127.0.0.1:1", "MANTA_USER": "jill", "MANTA_NO_AUTH": "true"}
    result = service.run("mls", env=env)
    assert result.code == 1
    assert result.err.startswith("mls: ConnectError: cannot reach http://127.0.0.1:1: ")


def test_a_key_of_ssh_is_found_by_its_fingerprint_and_a_stranger_is_refused(service: Service, tmp_path: Path) -> None:
    (service.home / ".ssh").mkdir(exist_ok=True)
    public = PublicKey.parse(write_key(service.home / ".ssh/id_stranger"))
    result = service.run("mls", env={"MANTA_KEY_ID": public.sha256})
    assert (result.code, result.err) == (
        1,
        f"mls: KeyDoesNotExistError: /jill/keys/{public.md5} does not exist\n",
    )


def test_a_key_that_nobody_holds_is_named(service: Service) -> None:
    result = service.run("mls", env={"MANTA_KEY_ID": "00:11"})
    assert result.code == 1
    assert result.err.startswith("mls: no private key for 00:11: ")


def test_what_is_printed_is_utf8_whatever_the_locale(service: Service, here: str) -> None:
    service.put(f"{here}/grün", b"1")
    result = service.run("mls", here, env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"})
    assert (result.code, result.out) == (0, "grün\n")


def test_a_full_disk_is_an_error_and_no_traceback(service: Service, here: str) -> None:
    service.put(f"{here}/a", b"1")
    for words in (["mls", here], ["mget", f"{here}/a"], ["mls", "--help"]):
        script = f"from cli.main import {words[0]}; {words[0]}()"
        with open("/dev/full", "wb") as full:
            env = {"HOME": str(service.home), "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                [sys.executable, "-c", script, *words[1:]], stdout=full, stderr=subprocess.PIPE, env=env
            )
        assert done.returncode == 1
        assert done.stderr.decode().startswith(f"{words[0]}: "), done.stderr
        assert b"No space left on device" in done.stderr


def test_verbose_traces_requests_as_json(service: Service) -> None:
    result = service.run("mls", "-v")
    methods = [json.loads(line)["method"] for line in result.err.splitlines()]
    assert methods == ["HEAD", "GET"]
