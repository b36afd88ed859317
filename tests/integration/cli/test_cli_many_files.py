"""Many files at once: to the service, from it, within it; each command run as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.services.cli_service import Service, gateway

LARGE = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def here(service: Service, request: pytest.FixtureRequest) -> str:
    """A directory of the test's own."""
    path = f"/jill/stor/{re.sub(r'[^a-z]+', '-', request.node.name)[:60]}"
    service.make(path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory `tree` with what directories may have in them."""
    root = tmp_path / "tree"
    (root / "below/deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "nothing").touch()
    (root / "-dash").write_text("dash")
    (root / "new\nline").write_text("line")
    (root / "*").write_text("star")
    (root / "below/deep/large").write_bytes(LARGE)
    return root


def contents(root: Path) -> dict[str, bytes | None]:
    """Relative names with contents; None for a directory."""
    return {str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}


def listing(service: Service, path: str) -> list[str]:
    return sorted(name.removeprefix(f"{path}/") for name in service.ok("mfind", "-0", path).split("\0")[:-1])


def test_every_file_of_several_is_stored(service: Service, here: str, tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).write_text(name)
    a, b, c, d = (str(tmp_path / name) for name in "abcd")
    service.ok("mput", "-f", a, "-f", b, here)
    service.ok("mput", c, d, f"{here}/")
    assert service.ok("mget", *(f"{here}/{name}" for name in "abcd")) == "abcd"
    service.ok("mput", a, f"{here}/one")
    assert service.ok("mget", f"{here}/one") == "a"


def test_two_files_of_one_name_do_not_replace_each_other(service: Service, here: str, tmp_path: Path) -> None:
    for name in "xy":
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    result = service.run("mput", str(tmp_path / "x/a"), str(tmp_path / "y/a"), here)
    assert (result.code, "would both be" in result.err) == (1, True)
    assert listing(service, here) == []


def test_several_files_need_a_directory(service: Service, here: str, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    files = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert service.run("mput", *files, f"{here}/new").err == f"mput: {here}/new does not exist (-p makes it)\n"
    service.ok("mput", "-p", *files, f"{here}/new")
    assert service.run("mput", *files, f"{here}/new/a").err == f"mput: {here}/new/a is not a directory\n"
    assert listing(service, here) == ["new", "new/a", "new/b"]


def test_a_tree_goes_there_and_comes_back_whole(service: Service, here: str, tree: Path, tmp_path: Path) -> None:
    assert service.run("mput", "-r", str(tree), f"{here}/x").err == "mput: 5 stored\n"
    assert service.run("mput", "-r", str(tree), f"{here}/x").err == "mput: 5 there already\n"
    (tmp_path / "back").mkdir()
    fetched = service.run("mget", "-r", f"{here}/x/tree", cwd=str(tmp_path / "back"))
    assert (fetched.code, fetched.err) == (0, "mget: 5 fetched\n")
    assert contents(tmp_path / "back/tree") == contents(tree)
    assert service.run("mget", "-r", f"{here}/x/tree", str(tmp_path / "back")).err == "mget: 5 there already\n"


def test_small_files_share_requests_and_each_keeps_its_type(service: Service, here: str, tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / f"{number}.{'html' if number % 2 else 'txt'}").write_text(str(number))
    traced = service.run("mput", "-v", "-H", "m-colour: red", "-r", ".", here, cwd=str(tmp_path))
    requests = [json.loads(line)["method"] for line in traced.err.splitlines() if line.startswith("{")]
    assert (traced.err.splitlines()[-1], requests.count("POST"), requests.count("PUT")) == ("mput: 250 stored", 3, 0)
    about = service.ok("minfo", f"{here}/7.html")
    assert "content-type: text/html" in about and "m-colour: red" in about
    assert contents(tmp_path) == {
        name: service.ok("mget", f"{here}/{name}").encode() if name in ("7.html", "249.html") else data
        for name, data in contents(tmp_path).items()
    }


def test_a_condition_holds_for_each_file(service: Service, here: str, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("new")
    service.put(f"{here}/a", b"old")
    result = service.run("mput", "-H", "if-none-match: *", "-r", ".", here, cwd=str(tmp_path))
    assert (result.code, result.err.splitlines()[-1]) == (1, "mput: 1 stored, 1 failed")
    assert service.ok("mget", f"{here}/a", f"{here}/b") == "oldnew"


def test_what_cannot_be_stored_is_said_and_the_rest_is_stored(service: Service, here: str, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    (tree / "link").symlink_to("/etc")
    (tree / os.fsdecode(b"\xff")).touch()
    service.make(f"{here}/tree")
    service.make(f"{here}/tree/nothing")
    service.put(f"{here}/tree/empty", b"1")
    result = service.run("mput", "--json", "-r", str(tree), here)
    assert result.code == 1
    not_utf8 = f"mput: '{here}/tree/\\udcff' is not UTF-8: the service cannot name it"
    assert set(result.err.splitlines()) == {
        not_utf8,
        f"mput: {here}/tree/empty is an object, and a directory here",
        f"mput: {here}/tree/nothing is a directory, and a file here",
        f"mput: {here}/tree/pipe: {tree}/pipe is no regular file",
        "mput: 4 stored, 1 left out, 4 failed",
        f"mput: {tree}/link left out: a symbolic link (-L follows it)",
    }
    records = [json.loads(line) for line in result.out.splitlines()]
    assert sorted({record["action"] for record in records}) == ["failed", "left out", "stored"]
    assert {"action": "stored", "path": f"{here}/tree/-dash", "file": f"{tree}/-dash", "size": 4} in records


def test_links_are_followed_only_when_told_to_and_never_in_a_circle(service: Service, here: str, tree: Path) -> None:
    (tree / "below/up").symlink_to(tree)
    (tree / "file").symlink_to("-dash")
    result = service.run("mput", "-r", "-L", str(tree), here)
    assert (result.code, "a link to a directory above it" in result.err) == (0, True)
    assert service.ok("mget", f"{here}/tree/file") == "dash"


def test_objects_go_into_a_directory_here(service: Service, here: str, tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "c.txt"):
        service.put(f"{here}/{name}", name.encode())
    result = service.run("mget", f"{here}/*.log", f"{here}/none", "got", cwd=str(tmp_path))
    assert (result.code, result.err.splitlines()[-1]) == (1, "mget: 2 fetched, 1 failed")
    assert contents(tmp_path / "got") == {"a.log": b"a.log", "b.log": b"b.log"}
    service.run("mget", "-d", "got", f"{here}/c.txt", cwd=str(tmp_path))
    assert (tmp_path / "got/c.txt").read_bytes() == b"c.txt"


def test_a_large_object_is_fetched_from_where_the_last_run_stopped(service: Service, here: str, tmp_path: Path) -> None:
    from cli.bulk.local import part_name
    from cli.client import objects

    service.put(f"{here}/large", LARGE)
    etag = objects.info(service.session, f"{here}/large").headers["etag"]
    (tmp_path / part_name("large", etag)).write_bytes(LARGE[:2_000_000])
    trace = service.run("mget", "-v", f"{here}/large", "./", cwd=str(tmp_path)).err
    assert '"status": 206' in trace
    assert contents(tmp_path) == {"large": LARGE}


def test_a_part_that_is_wrong_is_not_believed(service: Service, here: str, tmp_path: Path) -> None:
    from cli.bulk.local import part_name
    from cli.client import objects

    service.put(f"{here}/large", LARGE)
    etag = objects.info(service.session, f"{here}/large").headers["etag"]
    (tmp_path / part_name("large", etag)).write_bytes(b"wrong")
    assert "ChecksumError" in service.run("mget", f"{here}/large", "./", cwd=str(tmp_path)).err
    assert contents(tmp_path) == {}
    service.run("mget", f"{here}/large", "./", cwd=str(tmp_path))
    assert contents(tmp_path) == {"large": LARGE}


def test_msync_sends_what_differs_and_removes_only_when_told_to(service: Service, here: str, tree: Path) -> None:
    goal = f"{here}/copy"
    assert service.run("msync", str(tree), goal).err == "msync: 5 stored\n"
    (tree / "-dash").write_text("dish")
    (tree / "*").unlink()
    service.put(f"{goal}/kept.tmp", b"1")
    plan = service.run("msync", "-n", "-d", "-x", "*.tmp", str(tree), goal)
    assert (plan.code, sorted(plan.out.splitlines())) == (0, [f"remove {goal}/*", f"store {goal}/-dash"])
    assert service.ok("mget", f"{goal}/-dash") == "dash"
    done = service.run("msync", "-d", "-x", "*.tmp", str(tree), goal)
    assert (done.code, done.err) == (0, "msync: 1 stored, 1 removed, 3 there already\n")
    assert listing(service, goal) == sorted([*contents(tree), "kept.tmp"])


def test_msync_brings_what_differs_and_removes_only_when_told_to(
    service: Service, here: str, tree: Path, tmp_path: Path
) -> None:
    service.ok("msync", str(tree), here)
    local = tmp_path / "local"
    (local / "extra/deep").mkdir(parents=True)
    (local / "extra/deep/file").touch()
    plan = service.run("msync", "-n", "-d", here, str(tmp_path / "absent"))
    assert (plan.code, (tmp_path / "absent").exists()) == (0, False)
    service.ok("msync", here, str(local))
    assert (local / "extra/deep/file").exists()
    done = service.run("msync", "-d", here, str(local))
    assert (done.code, done.err) == (0, "msync: 3 removed, 5 there already\n")
    assert contents(local) == contents(tree)


def test_msync_replaces_a_directory_by_a_file_and_the_other_way_round_only_when_it_removes(
    service: Service, here: str, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for root, file, directory in ((one, "a", "b"), (other, "b", "a")):
        (root / directory / "below").mkdir(parents=True)
        (root / directory / "below/file").write_text(f"below {directory}")
        (root / file).write_text(f"a file {file}")
    service.ok("msync", str(one), f"{here}/x")
    said = service.run("msync", str(other), f"{here}/x")
    assert said.code == 1 and "a is an object, and a directory here" in said.err
    assert service.run("msync", "-d", "-x", "*.gz", str(other), f"{here}/x").code == 1
    planned = service.ok("msync", "-d", "-n", str(other), f"{here}/x")
    assert f"remove {here}/x/b\n" in planned and "b/below/file" in "".join(listing(service, f"{here}/x"))
    service.ok("msync", "-d", str(other), f"{here}/x")
    assert service.run("msync", f"{here}/x", str(one)).code == 1
    service.ok("msync", "-d", f"{here}/x", str(one))
    assert contents(one) == contents(other)


def test_copies_and_moves_are_links(service: Service, here: str) -> None:
    service.ok("mput", "-p", f"{here}/a/deep/x", stdin=b"1")
    service.ok("mmkdir", f"{here}/a/empty")
    service.ok("mcp", "-r", f"{here}/a", f"{here}/b")
    tree = ["deep", "deep/x", "empty"]
    assert listing(service, f"{here}/a") == listing(service, f"{here}/b") == tree
    service.ok("mmv", f"{here}/b", f"{here}/c")
    assert listing(service, f"{here}/c") == tree
    service.ok("mmv", f"{here}/c/deep/x", f"{here}/y")
    service.ok("mcp", f"{here}/y", f"{here}/c")
    assert service.ok("mget", f"{here}/c/y", f"{here}/y") == "11"
    assert sorted(service.ok("mls", here).split()) == ["a/", "c/", "y"]


@pytest.mark.parametrize("words", ["mmv {0}/a {0}/a", "mmv {0}/d {0}/d/e", "mcp -r {0}/d {0}/d/e", "mcp {0}/d {0}/f"])
def test_nothing_is_lost_by_a_move_onto_itself(service: Service, here: str, words: str) -> None:
    service.put(f"{here}/a", b"1")
    service.ok("mput", "-p", f"{here}/d/x", stdin=b"1")
    assert service.run(*words.format(here).split()).code == 1
    assert listing(service, here) == ["a", "d", "d/x"]


def test_mdu_sums_each_directory(service: Service, here: str) -> None:
    service.ok("mput", "-p", f"{here}/a/deep/x", stdin=b"12345")
    service.put(f"{here}/a/y", b"1" * 2048)
    assert service.ok("mdu", f"{here}") == f"2053\t{here}/a\n5\t{here}/a/deep\n2053\t{here}\n"
    assert service.ok("mdu", "-s", "-h", here) == f"2K\t{here}\n"
    assert json.loads(service.ok("mdu", "-sj", here)) == {"path": here, "size": 2053, "objects": 2}


def test_patterns_are_those_of_a_shell(service: Service, here: str) -> None:
    service.ok("mput", "-p", f"{here}/d/deep/b.log", stdin=b"b")
    for name in ("a.log", "a[1]", ".a.log", "d/a.txt"):
        service.put(f"{here}/{name}", b"1")
    for pattern, found in (
        ("*.log", "a.log"),
        (".*.log", ".a.log"),
        ("?.log", "a.log"),
        ("**/*.log", "a.log d/deep/b.log"),
        ("d/**", "d/a.txt d/deep d/deep/b.log"),
        ("*/a.txt", "d/a.txt"),
        ("a[1]", "a[1]"),
    ):
        assert service.ok("minfo", "-j", f"{here}/{pattern}").count("\n") == len(found.split()), pattern
    assert service.ok("mls", f"{here}/**/*.log") == "a.log\nb.log\n"
    assert service.ok("mfind", "-g", "*.log", here).count("\n") == 3
    assert service.run("mls", f"{here}/*.none").err == f"mls: ResourceNotFoundError: nothing matches {here}/*.none\n"
    service.put(f"{here}/*", b"star")
    service.ok("mrm", f"{here}/*")
    assert ".a.log" in listing(service, here) and "a.log" in listing(service, here)
    service.ok("mrm", f"{here}/*.log")
    assert listing(service, here) == [".a.log", "a[1]", "d", "d/a.txt", "d/deep", "d/deep/b.log"]


@pytest.mark.parametrize("program", ["mls", "mrm", "minfo"])
def test_a_path_that_is_not_there_does_not_keep_the_others(service: Service, here: str, program: str) -> None:
    service.put(f"{here}/a", b"1")
    result = service.run(program, f"{here}/nope", f"{here}/a")
    if program == "mrm":
        assert (result.code, listing(service, here)) == (1, [])
    else:
        assert "a\n" in result.out or "200" in result.out
        assert result.code == (0 if program == "minfo" else 1)


def test_relative_names_are_below_stor_for_all(service: Service, here: str) -> None:
    name = here.removeprefix("/jill/stor/")
    service.put(f"{here}/a", b"1")
    service.ok("mln", f"{name}/a", f"{name}/b")
    service.ok("mmkdir", f"{name}/d")
    service.ok("mmv", f"{name}/b", f"{name}/d")
    assert service.ok("mfind", f"{name}/d") == f"{here}/d/b\n"
    service.ok("mrm", f"{name}/d/b")
    service.ok("mrmdir", f"{name}/d")
    assert service.ok("mdu", "-s", name) == f"1\t{here}\n"


def test_a_tilde_that_the_shell_has_replaced_is_explained(service: Service) -> None:
    result = service.run("mls", f"{service.home}/stor")
    assert result.err.splitlines()[1] == f"mls: did you mean ~~/stor? The shell makes ~ {service.home}"


def test_a_service_that_cannot_be_reached_ends_the_run_at_once(service: Service, tree: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    result = service.run("mput", "-r", "-u", url, "-a", "jill", "-k", "x", str(tree), "/jill/stor/x")
    assert result.code == 1
    assert len(result.err.splitlines()) == 1


def test_ctrl_c_says_what_is_done_and_leaves_nothing_half(service: Service, here: str, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(600):
        (many / str(number)).write_text(str(number))
    process = service.start("mput", "-r", "--json", "--parallel", "2", str(many), here)
    assert process.stdin and process.stdout and process.stderr
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.stdout.read(), process.stderr.read()
    stored = [json.loads(line) for line in (first + out).splitlines()]
    assert process.wait(60) == 130
    process.communicate()
    said = f"mput: stopped: {len(stored)} stored; the same command goes on with the rest"
    assert said in err.decode().splitlines()
    again = service.run("mput", "-r", str(many), here)
    assert again.code == 0
    there = re.search(r"(\d+) there already", again.err)
    assert there and len(stored) <= int(there[1]) <= len(stored) + 2


def test_a_reader_that_has_seen_enough_ends_the_run(service: Service, here: str, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        (many / str(number)).write_text(str(number))
    process = service.start("mput", "-q", "-r", "--json", str(many), here)
    assert process.stdin and process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    process.stdin.close()
    assert (process.wait(60), process.stderr.read()) == (0, b"")
    process.stderr.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="NO FULL DISK IS TRIED: that needs root")
def test_a_full_disk_ends_the_run_at_once(service: Service, here: str, tmp_path: Path) -> None:
    for number in range(20):
        service.put(f"{here}/{number}", b"x" * 500_000)
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        result = service.run("mget", "--parallel", "1", "-r", here, str(small))
    finally:
        subprocess.run(["umount", small], check=True)
    assert result.code == 1
    assert result.err.count("No space left on device") == 1
