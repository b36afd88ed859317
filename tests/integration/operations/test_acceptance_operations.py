"""Operations that really run: the user's commands read slices, and what they print is published at once."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.lines.hard_data import DATA
from tests.support.services.gateway import md5
from tests.support.services.service import Service
from tests.support.services.user import Ended, User
from tests.support.variants import variants

DIRECTORY = {"content-type": "application/json; type=directory"}
LINES = [f"line {n} of some length {'x' * (n % 50)}\n".encode() for n in range(3000)]


@pytest.fixture(scope="module")
def inputs(user: User) -> list[str]:
    return [user.put(f"op{n}", b"".join(LINES[1000 * n : 1000 * n + 1000])) for n in range(3)]


def run(user: User, kind: str, inputs: list[str], spec: dict[str, Any], **more: Any) -> Ended:
    document = {"type": kind, "inputs": inputs, "spec": spec, **more}
    return user.ended(user.jobs.create(json.dumps(document).encode()))


def printed(user: User, ended: Ended) -> bytes:
    return b"".join(user.get(name) for name in ended.outputs)


@pytest.mark.parametrize("tasks", [1, 2, 7, 100])
def test_an_ordered_map_of_cat_is_cat(user: User, inputs: list[str], tasks: int) -> None:
    ended = run(user, "map", inputs, {"exec": "cat", "task_count": tasks, "ordered": True})
    assert printed(user, ended) == b"".join(LINES)
    assert ended.status["status"] == "completed"
    stages = {stage["kind"]: stage for stage in ended.status["progress"]["stages"]}
    assert stages["map"]["completed"] == tasks


def test_each_line_is_read_once_if_there_are_more_tasks_than_lines(user: User) -> None:
    inputs = [user.put("few", b"one\ntwo\n" + b"3" * 300 + b"\nfour")]
    ended = run(user, "map", inputs, {"exec": 'sed "s/^/<$MANTA_TASK_NUMBER>/"', "task_count": 100})
    lines = printed(user, ended).splitlines()
    assert [line.partition(b">")[2] for line in lines] == [b"one", b"two", b"3" * 300, b"four"]
    assert len(ended.outputs) == 4  # a task for each line


def test_no_script_runs_for_a_slice_without_a_line(user: User) -> None:
    inputs = [user.put("long", b"one\n" + b"2" * 300 + b"\n")]
    ended = run(user, "map", inputs, {"exec": 'sed "s/^/<$MANTA_TASK_NUMBER>/"', "task_size": 50})
    assert printed(user, ended) == b"<0>one\n<0>" + b"2" * 300 + b"\n"
    assert ended.status["progress"]["completed"] == 7


def test_one_object_is_made_of_what_all_tasks_print(user: User, inputs: list[str]) -> None:
    output = {"path": user.path("joined")}
    ended = run(user, "map", inputs, {"exec": "cat", "task_count": 9}, output=output)
    assert ended.outputs == [user.path("joined")]
    assert user.get("joined") == b"".join(LINES)


@pytest.mark.parametrize("options", [[], ["-k2,2n", "-k1,1"], ["-t,", "-k2,2nr", "-s"], ["-u", "-f"], ["-n"], ["-r"]])
def test_a_sort_leaves_the_bytes_of_sort(user: User, service: Service, tmp_path: Path, options: list[str]) -> None:
    files = []
    user.session.call("PUT", user.path("sorted"), headers=DIRECTORY)
    for name, text in {"s1": "b 10\na 9\nB,3 1\n", "s2": "c,10\nb 10\n a 2", "s3": "", "s4": "\n10\n9\nb"}.items():
        user.put(f"sorted/{name}", text.encode())
        files.append(tmp_path / name)
        files[-1].write_text(text)
    expected = subprocess.run(["sort", *options, *files], env={"LC_ALL": "C"}, capture_output=True, check=True).stdout
    assert service.run("mjob", "sort", *options, "~~/stor/sorted/").stdout == expected


@pytest.mark.parametrize("partitions", [1, 3, 64])
@pytest.mark.parametrize("keys", [[], ["2,2n"]])
def test_a_sort_in_many_tasks_leaves_the_bytes_of_sort(
    user: User, tmp_path: Path, partitions: int, keys: list[str]
) -> None:
    chance = random.Random(partitions)
    files, inputs = [], []
    for number in range(3):
        lines = [f"{chance.choice('abcdef')}{chance.randrange(50)} {chance.randrange(1000)}" for _ in range(3000)]
        files.append(tmp_path / f"{number}")
        files[-1].write_text("\n".join(lines))
        inputs.append(user.put(f"unsorted-{partitions}-{len(keys)}-{number}", files[-1].read_bytes()))
    command = ["sort", *(f"-k{key}" for key in keys), *files]
    expected = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, check=True).stdout
    spec = {"sort_by": keys, "partition_count": partitions, "task_size": 7000}
    ended = run(user, "sort", inputs, spec)
    assert printed(user, ended) == expected
    stages = {stage["kind"]: stage["completed"] for stage in ended.status["progress"]["stages"]}
    assert stages.pop("partition") >= 9 * (partitions > 1)
    assert stages == {"sample": partitions > 1, "sort": partitions}
    run(user, "sort", inputs, spec, output={"path": user.path("one")})
    assert user.get("one") == expected


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("sort", {}),
        ("sort", {"partition_count": 3}),
        ("sort", {"partition_count": 3, "unique": True}),
        ("merge", {"combine": True}),
        ("map", {"exec": "cat", "task_count": 4}),
        ("map_reduce", {"reducer": {"exec": "uniq -c"}, "partition_count": 3}),
    ],
)
def test_an_object_has_the_md5_of_its_bytes(user: User, inputs: list[str], kind: str, spec: dict[str, Any]) -> None:
    for place in ("hashed", "hashed.parts/"):
        ended = run(user, kind, inputs, spec, output={"path": user.path(place), "mode": "replace"})
        assert ended.outputs
        for name in ended.outputs:
            reply = user.session.call("GET", name)
            assert reply.headers["content-md5"] == md5(reply.content), (place, name)


def test_lines_are_erased_as_sed_does(user: User) -> None:
    user.put("erased", b"".join(LINES))
    run(user, "erase", [user.path("erased")], {"lines": "11-2990"})
    assert user.get("erased") == b"".join(LINES[:10] + LINES[2990:])


def test_a_script_that_fails_fails_the_operation_and_leaves_its_stderr(user: User, inputs: list[str]) -> None:
    output = {"path": user.path("never/")}
    spec = {"exec": "echo broken >&2; echo half; exit 3"}
    ended = run(user, "map", inputs, spec, output=output, max_failed_attempts=2)
    assert (ended.status["status"], ended.outputs) == ("failed", [])
    assert ended.status["result"]["error"]["message"] == "2 attempts failed: user command exited with code 3"
    assert ended.errors[0]["what"] == "map task 0, attempt 1"
    assert user.get(ended.errors[0]["stderr"]) == b"broken\n"
    failed = list(user.jobs.attempts(ended.job, state="failed"))
    assert [(each["task"], each["attempt"], each["code"]) for each in failed] == [
        (0, 1, "UserTaskError"), (0, 2, "UserTaskError"),
    ]  # fmt: skip
    assert user.get(failed[1]["stderr"]) == b"broken\n"
    assert not list(user.jobs.attempts(ended.job, reason="node_offline"))
    assert not user.exists("never")


def test_a_task_knows_where_it_stands(user: User, inputs: list[str]) -> None:
    script = 'cat > /dev/null; echo "$MANTA_JOB_TYPE $MANTA_TASK_NUMBER $MANTA_ATTEMPT ${MANTA_REDUCER-none}"'
    ended = run(user, "map", inputs, {"exec": script, "task_count": 2})
    assert printed(user, ended) == b"map 0 1 none\nmap 1 1 none\n"


def test_a_line_that_is_too_long_ends_the_operation_and_is_named(user: User) -> None:
    name = user.put("longer", b"short\n" + b"x" * (34 << 20))
    ended = run(user, "map", [name], {"exec": "wc -c", "task_count": 2})
    assert ended.status["status"] == "failed"
    assert ended.status["result"]["error"]["message"] == f'"{name}": a line is longer than 16 MiB at byte 6'


@pytest.mark.parametrize("zero", variants([False, True]))
@pytest.mark.parametrize("partitions", variants([3, 1, 64]))
@pytest.mark.parametrize("data", DATA)
def test_data_that_is_hard_to_divide_is_sorted_as_sort_does(
    user: User, tmp_path: Path, data: str, partitions: int, zero: bool
) -> None:
    text = DATA[data](random.Random(data))
    text = text.replace(b"\n", b"\0") if zero else text
    name = user.put(f"hard-{partitions}-{zero}", text)
    (tmp_path / "text").write_bytes(text)
    command = ["sort", "-k1,1", *(["-z"] if zero else []), tmp_path / "text"]
    expected = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, check=True).stdout
    spec = {"sort_by": ["1,1"], "zero": zero, "partition_count": partitions, "task_size": 20_000}
    assert printed(user, run(user, "sort", [name], spec)) == expected


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"sort_by": ["2,2n", "1,1r"]},
        {"sort_by": ["1,1"], "stable": True},
        {"sort_by": ["1.1,1.2"], "unique": True},
        {"flags": "nr", "separator": ","},
        {"flags": "fr", "unique": True},
        {"zero": True},
    ],
)
def test_slices_that_are_sorted_and_merged_leave_the_bytes_of_sort(
    user: User, tmp_path: Path, spec: dict[str, Any]
) -> None:
    chance = random.Random(str(spec))
    end = b"\0" if spec.get("zero") else b"\n"
    files, inputs = [], []
    for number in range(3):
        lines = [f"{chance.choice('aAbBcC')}{chance.randrange(9)} {chance.randrange(99)}".encode() for _ in range(3000)]
        files.append(tmp_path / f"{number}")
        files[-1].write_bytes(end.join(lines))
        inputs.append(user.put(f"merged-{number}", files[-1].read_bytes()))
    words = [f"-k{key}" for key in spec.get("sort_by", ())] + [f"-{letter}" for letter in spec.get("flags", "")]
    words += [f"-t{spec['separator']}"] if "separator" in spec else []
    words += [letter for key, letter in (("stable", "-s"), ("unique", "-u"), ("zero", "-z")) if spec.get(key)]
    command = ["sort", *words, *files]
    expected = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, check=True).stdout
    ended = run(user, "sort", inputs, spec | {"task_size": 5000}, output={"path": user.path("one"), "mode": "replace"})
    assert user.get("one") == expected
    stages = {stage["kind"]: stage["completed"] for stage in ended.status["progress"]["stages"]}
    assert stages.pop("sort") >= 9
    assert stages == {"sample": 0, "partition": 0, "sorted_merge": 1, "concat": 0}


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("kind", ["sort", "map_reduce"])
def test_a_line_that_is_too_long_to_be_sorted_is_named_with_its_object(user: User, kind: str, partitions: int) -> None:
    names = [user.put("usual", b"c\nb\n"), user.put("long-inside", b"a\n" * 1000 + b"x" * (17 << 20) + b"\nb\n")]
    spec = {"partition_count": partitions} | ({"reducer": {"exec": "cat"}} if kind == "map_reduce" else {})
    ended = run(user, kind, names, spec)
    assert ended.status["status"] == "failed"
    message = f'"{names[1]}": a line is longer than 16 MiB at byte 2000'
    assert ended.status["result"]["error"]["message"] == message


@pytest.mark.parametrize("partitions", [1, 5])
def test_lines_that_end_in_nul_are_sorted_as_sort_does(
    user: User, service: Service, tmp_path: Path, partitions: int
) -> None:
    lines = [b"%d\nof record %d" % (n * 7919 % 500, n) for n in range(2000)]
    (tmp_path / "z").write_bytes(b"\0".join(lines))
    name = user.put("nul", b"\0".join(lines))
    expected = subprocess.run(
        ["sort", "-z", "-n", tmp_path / "z"], env={"LC_ALL": "C"}, capture_output=True, check=True
    ).stdout
    assert service.run("mjob", "sort", "-q", "-z", "-n", f"--partitions={partitions}", name).stdout == expected
    ended = run(user, "sort", [name], {"zero": True, "flags": "n", "partition_count": partitions, "task_size": 5000})
    assert printed(user, ended) == expected


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_header_comes_first_and_once(user: User, service: Service, partitions: int) -> None:
    lines = [f"{n * 7919 % 1000},x" for n in range(1000)]
    inputs = [user.put(f"csv{n}", "\n".join(["number,name", *lines[n::3]]).encode()) for n in range(3)]
    inputs.append(user.put("csv3", b""))
    expected = "".join(f"{line}\n" for line in ["number,name", *sorted(lines, key=lambda line: int(line[:-2]))])
    spec = {"header": True, "sort_by": ["1,1n"], "separator": ",", "partition_count": partitions, "task_size": 900}
    assert printed(user, run(user, "sort", inputs, spec)).decode() == expected
    run(user, "sort", inputs, spec, output={"path": user.path("table.csv")})
    assert user.get("table.csv").decode() == expected
    done = service.run("mjob", "sort", "-q", "--header", "-t,", "-k1,1n", f"--partitions={partitions}", *inputs)
    assert done.stdout.decode() == expected


def test_headers_that_differ_fail_the_operation_at_once(user: User) -> None:
    inputs = [user.put("csv-a", b"a,b\n1,2\n"), user.put("csv-b", b"a,c\n3,4\n")]
    ended = run(user, "sort", inputs, {"header": True})
    assert ended.status["result"]["error"]["message"] == "1 attempt failed: user command exited with code 1"
    assert user.get(ended.errors[0]["stderr"]) == b'the first lines differ: "a,b", and of input 2 "a,c"\n'


def test_a_check_says_which_line_is_out_of_order_as_sort_does(user: User, service: Service) -> None:
    right, wrong = user.put("in-order", b"a 1\nb 2\nb 10\n"), user.put("out-of-order", b"a 1\nb 10\nb 2\n")
    done = service.run("mjob", "sort", "-q", "-c", "-k2,2n", right)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = service.run("mjob", "sort", "-q", "-c", "-k2,2n", wrong, check=False)
    assert (done.returncode, done.stderr.decode()) == (1, f"mjob sort: {wrong}:3: disorder: b 2\n")
    done = service.run("mjob", "sort", "-q", "-C", "-k2,2n", wrong, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    assert service.run("mjob", "sort", "-q", "-c", "-u", "-k1,1", right, check=False).returncode == 1


def test_sorted_inputs_are_merged_as_sort_does(user: User, service: Service) -> None:
    inputs = [user.put(f"sorted-{n}", b"".join(b"%d %d\n" % (m, n) for m in range(n, 900, 3))) for n in range(3)]
    expected = b"".join(b"%d %d\n" % (m, m % 3) for m in range(900))
    target = user.path("merged")
    done = service.run("mjob", "merge", "-q", "--sorted", "-k1,1n", "-o", target, *inputs)
    assert done.returncode == 0, done.stderr
    assert user.get("merged") == expected
    bad = user.put("unsorted-one", b"2\n1\n")
    done = service.run("mjob", "merge", "-q", "--sorted", "-k1,1n", "-o", target, *inputs, bad, check=False)
    assert done.returncode == 1
    assert f"{bad}:2: disorder: 1" in done.stderr.decode()
    assert user.get("merged") == expected


@pytest.mark.parametrize("partitions", [1, 7])
@pytest.mark.parametrize("combines", [False, True], ids=["each word", "combined"])
def test_words_are_counted_as_the_pipe_does(user: User, partitions: int, combines: bool) -> None:
    words = [b"the", b"lear", b"king", b"and", b"fool", b"storm", b"heath"]
    text = b"".join(b"%s %s\n" % (words[n % 7], words[n * n % 5]) for n in range(2000))
    split, count = "tr -cs a-z '\\n'", "awk '{n[$2] += $1} END {for (word in n) print n[word], word}'"
    spec = {"mapper": {"exec": f"{split} | sed 's/^/1 /'"}, "reducer": {"exec": count}, "reduce_by": ["2,2"]}
    spec |= {"partition_count": partitions, "task_count": 3} | ({"combiner": {"exec": count}} if combines else {})
    ended = run(user, "map_reduce", [user.put("spoken", text)], spec)
    pipe = subprocess.run(["bash", "-c", f"{split} | sed 's/^/1 /' | {count}"], input=text, capture_output=True)
    assert sorted(printed(user, ended).splitlines()) == sorted(pipe.stdout.splitlines())
