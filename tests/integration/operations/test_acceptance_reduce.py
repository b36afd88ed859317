"""Inputs that are sorted: what reduce and a sorted merge guarantee, as the user's commands see it."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.services.service import Service
from tests.support.services.user import Ended, User

KEYS = 40
BY_FIRST = {"separator": ",", "reduce_by": ["1,1n"]}


def fields_of(line: str) -> tuple[int, ...]:
    return tuple(map(int, line.split(",")))


@pytest.fixture(scope="module")
def inputs(user: User) -> list[str]:
    """Four objects of lines `key,value,input,line`, sorted by key and value, the last without a newline at its end."""
    chance = random.Random(1)
    paths = []
    for number in range(4):
        rows = sorted((chance.randrange(KEYS), chance.randrange(30)) for _ in range(500))
        text = "\n".join(f"{key},{value},{number},{line}" for line, (key, value) in enumerate(rows))
        paths.append(user.put(f"sorted{number}", (text + ("\n" if number < 3 else "")).encode()))
    return paths


@pytest.fixture(scope="module")
def lines(user: User, inputs: list[str]) -> list[str]:
    return [line for path in inputs for line in user.get(path).decode().splitlines()]


def run(user: User, inputs: list[str], reducer: str, **spec: Any) -> Ended:
    output = {"output": spec.pop("output")} if "output" in spec else {}
    document = {"type": "reduce", "inputs": inputs, "spec": {"exec": reducer, **spec}, **output}
    return user.ended(user.jobs.create(json.dumps(document).encode()))


def printed(user: User, ended: Ended) -> list[list[str]]:
    """The lines that each task has printed, in the order of the tasks."""
    assert ended.status["status"] == "completed", ended.status
    return [user.get(name).decode().splitlines() for name in ended.outputs]


def failure(user: User, ended: Ended) -> str:
    """What the first task that failed has said."""
    assert ended.status["status"] == "failed", ended.status
    return user.get(ended.errors[0]["stderr"]).decode()


@pytest.mark.parametrize("tasks", [1, 2, 7, 64])
def test_a_key_is_never_divided_and_lines_are_merged(
    user: User, inputs: list[str], lines: list[str], tasks: int
) -> None:
    ended = run(user, inputs, "cat", **BY_FIRST, sort_by=["1,1n", "2,2n"], task_count=tasks)
    parts = printed(user, ended)
    assert ended.status["progress"]["stages"][-1]["completed"] == tasks
    found = list(itertools.chain(*parts))
    assert found == sorted(lines, key=lambda line: fields_of(line)[:2])  # ties stay in the order of the inputs
    keys = [{fields_of(line)[0] for line in part} for part in parts]
    assert sum(map(len, keys)) == len(set().union(*keys))  # no key in two tasks
    assert [max(before) < min(after) for before, after in itertools.pairwise(keys)] == [True] * (len(keys) - 1)


def test_pivots_say_where_the_keys_are_cut(user: User, inputs: list[str], lines: list[str]) -> None:
    parts = printed(user, run(user, inputs, "cat", **BY_FIRST, pivot_keys=["7", "20", "21", "99"]))
    ranges = [range(7), range(7, 20), range(20, 21), range(21, 99)]  # a range without a line leaves nothing
    assert [{fields_of(line)[0] for line in part} for part in parts] == [
        set(each) & set(range(KEYS)) for each in ranges
    ]
    assert sum(map(len, parts)) == len(lines)


def test_pivots_that_do_not_increase_fail_the_operation(user: User, inputs: list[str]) -> None:
    for pivots in (["9", "7"], ["7", "7"]):
        said = failure(user, run(user, inputs, "cat", **BY_FIRST, pivot_keys=pivots))
        assert said == f"msort: pivots:2: disorder: {pivots[1]}\n"


@pytest.mark.parametrize("tasks", [1, 5])
def test_an_input_that_is_not_sorted_is_named_and_nothing_is_left(user: User, inputs: list[str], tasks: int) -> None:
    bad = user.put("not-sorted", b"".join(b"%d,0,9,0\n" % n for n in [*range(30), 3, *range(31, 40)]))
    target = user.path("reduced-badly")
    ended = run(user, [*inputs, bad], "cat", **BY_FIRST, task_count=tasks, output={"path": target})
    assert failure(user, ended) == f"mmerge: {bad}:31: disorder: 3,0,9,0\n"
    assert ended.status["result"]["error"]["message"].startswith("1 attempt failed")
    assert not user.exists(target)


def test_inputs_must_be_sorted_by_all_keys(user: User, inputs: list[str]) -> None:
    ended = run(user, inputs, "cat", **BY_FIRST, sort_by=["1,1n", "4,4nr"])
    assert ": disorder: " in failure(user, ended)


@pytest.mark.parametrize("tasks", [1, 6])
def test_dictionaries_go_to_every_task_that_needs_them(
    user: User, inputs: list[str], lines: list[str], tasks: int
) -> None:
    names = user.put("names", "".join(f"{key},name{key}\n" for key in range(0, KEYS, 2)).encode())
    colours = user.put("colours", "".join(f"{key},colour{key}\n" for key in range(0, KEYS, 3)).encode())
    join = (
        r"""awk -F'\t|,' '$1 == 1 {name[$2] = $3} $1 == 2 {colour[$2] = $3} $1 == 0 {print $2, name[$2], colour[$2]}'"""
    )
    ended = run(
        user, inputs, join, separator=",", reduce_by=["1,1n", "2,2n"], foreign=[names, colours], join_by=["1,1n"],
        task_count=tasks,
    )  # fmt: skip
    found = list(itertools.chain(*printed(user, ended)))
    keys = sorted(fields_of(line)[0] for line in lines)
    expected = [f"{key} {'' if key % 2 else f'name{key}'} {'' if key % 3 else f'colour{key}'}" for key in keys]
    assert found == expected


def test_a_dictionary_that_is_not_there_fails_the_operation_before_any_task(user: User, inputs: list[str]) -> None:
    ended = run(user, inputs, "cat", **BY_FIRST, foreign=[user.path("no-names")], join_by=["1,1n"])
    assert ended.status["status"] == "failed"
    assert ended.status["result"]["error"]["message"] == f'no such object: "{user.path("no-names")}"'
    assert ended.status["progress"]["total"] == 0


def test_a_dictionary_that_is_not_sorted_is_named(user: User, inputs: list[str]) -> None:
    bad = user.put("bad-names", b"2,b\n1,a\n")
    ended = run(user, inputs, "cat", **BY_FIRST, foreign=[bad], join_by=["1,1n"])
    assert failure(user, ended) == f"mmerge: {bad}:2: disorder: 1,a\n"


def test_nothing_is_run_if_no_input_has_a_line(user: User) -> None:
    empty = user.put("empty")
    assert printed(user, run(user, [empty, empty], "wc -l", reduce_by=["1,1"], task_count=5)) == []


def test_the_whole_is_sorted_if_the_document_says_so(user: User, inputs: list[str]) -> None:
    total = (
        'awk -F, \'NR == 1 || $1 != key {if (n) print key "," n; key = $1; n = 0} {n++} END {if (n) print key "," n}\''
    )
    ended = run(user, inputs, total, **BY_FIRST, sorted_output=True, task_count=4)
    found = [fields_of(line) for part in printed(user, ended) for line in part]
    assert [key for key, _ in found] == list(range(KEYS))
    assert sum(count for _, count in found) == 2000


@pytest.mark.parametrize(
    ("reducer", "said"),
    [
        ("grep -q . || exit 0; printf '3,a\\n1,b\\n'", "standard input:2: disorder: 1,b"),
        ("grep -q . || exit 0; echo 99", "standard input:1: not in the range of keys of its task: 99"),
    ],
)
def test_output_that_is_not_sorted_fails_the_operation(user: User, inputs: list[str], reducer: str, said: str) -> None:
    ended = run(user, inputs, reducer, **BY_FIRST, sorted_output=True, pivot_keys=["50"])
    assert failure(user, ended) == f"mmerge: {said}\n"


def test_the_output_of_a_map_reduce_is_sorted_if_the_document_says_so(user: User) -> None:
    words = [f"w{n * 7919 % 997:03}" for n in range(4000)]
    paths = [user.put(f"text{n}", "\n".join(words[n::2]).encode()) for n in range(2)]
    spec: dict[str, Any] = {
        "mapper": {"exec": "tr w v"}, "reducer": {"exec": "uniq"}, "partition_count": 5, "task_size": 4000,
        "sorted_output": True,
    }  # fmt: skip
    ended = user.ended(user.jobs.create(json.dumps({"type": "map_reduce", "inputs": paths, "spec": spec}).encode()))
    parts = printed(user, ended)
    assert list(itertools.chain(*parts)) == sorted({word.replace("w", "v") for word in words})
    assert len(parts) == 5
    spec["reducer"] = {"exec": "uniq | sort -r"}
    ended = user.ended(user.jobs.create(json.dumps({"type": "map_reduce", "inputs": paths, "spec": spec}).encode()))
    assert ": disorder: " in failure(user, ended)


def test_a_command_may_stop_reading(user: User, inputs: list[str]) -> None:
    parts = printed(user, run(user, inputs, "head -1", **BY_FIRST, task_count=3))
    assert [len(part) for part in parts] == [1, 1, 1]


def test_a_command_that_fails_is_said_to(user: User, inputs: list[str]) -> None:
    ended = run(user, inputs, "cat > /dev/null; exit 7", **BY_FIRST)
    assert ended.status["result"]["error"]["message"] == "1 attempt failed: user command exited with code 7"


def test_more_inputs_than_are_told_at_once_are_merged(user: User) -> None:
    paths = [user.put(f"many{n:03}", f"{n % 7},{n}\n".encode()) for n in range(300)]
    parts = printed(user, run(user, paths, "cat", **BY_FIRST, task_count=2))
    assert list(itertools.chain(*parts)) == [f"{n % 7},{n}" for key in range(7) for n in range(300) if n % 7 == key]


def test_what_such_a_task_reads_cannot_be_had(user: User, service: Service, inputs: list[str]) -> None:
    ended = run(user, inputs, "cat", **BY_FIRST)
    done = service.run("mjob", "input", ended.job, "0", check=False)
    assert done.returncode == 1 and b"a range of keys of all inputs" in done.stderr


@pytest.mark.parametrize("partitions", [1, 5])
def test_sorted_inputs_are_merged_in_partitions(
    user: User, inputs: list[str], lines: list[str], partitions: int
) -> None:
    spec = {"mode": "sorted", "separator": ",", "sort_by": ["1,1n", "2,2n"], "stable": True}
    document = {"type": "merge", "inputs": inputs, "spec": {**spec, "partition_count": partitions}}
    document["output"] = {"path": user.path(f"merged{partitions}/")}
    ended = user.ended(user.jobs.create(json.dumps(document).encode()))
    assert ended.status["progress"]["stages"][-1]["completed"] == partitions
    assert list(itertools.chain(*printed(user, ended))) == sorted(lines, key=lambda line: fields_of(line)[:2])


def test_the_command_line_reduces(user: User, service: Service, inputs: list[str], tmp_path: Path) -> None:
    (tmp_path / "pivots").write_text("10\n20\n")
    users = user.put("users", b"1,ann\n2,bob\n")
    words = ["mjob", "reduce", "-q", "-t,", "--reduce-by", "1,1n", "--join", users, "--join-by", "1,1n"]
    done = service.run(*words, "--pivots", str(tmp_path / "pivots"), "grep -c '^1' || true", *inputs)
    assert done.stdout == b"2\n0\n0\n"
    done = service.run(*words[:3], "exit 7", *inputs, check=False)
    assert (done.returncode, b"mjob errors" in done.stderr, b"mjob input" in done.stderr) == (1, True, False)
    done = service.run("mjob", "reduce", "--dry-run", "-t,", "--reduce-by", "1,1n", "--tasks", "3", "cat", *inputs)
    assert b"sorted_reduce     3 tasks of about" in done.stderr
