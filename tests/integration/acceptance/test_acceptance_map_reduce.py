"""Lines meet by their keys: what map_reduce guarantees to its commands, as they see it."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
from collections import Counter
from typing import Any

import pytest

from tests.support.gate import Gate
from tests.support.services.service import Service
from tests.support.services.user import Ended, User

WORDS = [f"word{n % 97}" for n in range(5000)]
COUNTED = Counter(WORDS)


@pytest.fixture(scope="module")
def words(user: User) -> list[str]:
    """Three objects of words, the last without a newline at its end."""
    text = [" ".join(WORDS[first : first + 8]) for first in range(0, len(WORDS), 8)]
    return [user.put(f"words{n}", "\n".join(text[n::3]).encode()) for n in range(3)]


def run(user: User, inputs: list[str], reducer: str, **spec: Any) -> Ended:
    mapper = {"mapper": {"exec": spec.pop("mapper")}} if "mapper" in spec else {}
    document = {"type": "map_reduce", "inputs": inputs, "spec": {"reducer": {"exec": reducer}, **mapper, **spec}}
    return user.ended(user.jobs.create(json.dumps(document).encode()))


def printed(user: User, ended: Ended) -> list[bytes]:
    """What each reduce task has printed."""
    return [user.get(name) for name in ended.outputs]


def counted(texts: list[bytes]) -> dict[str, int]:
    """The counts of `uniq -c`; a word that two tasks have counted is wrong."""
    lines = [line.split() for text in texts for line in text.decode().splitlines()]
    found = {word: int(n) for n, word in lines}
    assert len(found) == len(lines)
    return found


@pytest.mark.parametrize("partitions", [1, 7])
@pytest.mark.parametrize("combiner", [None, "uniq -c"])
def test_words_are_counted_as_by_a_pipe(user: User, words: list[str], partitions: int, combiner: str | None) -> None:
    if combiner is None:
        ended = run(user, words, "uniq -c", mapper="tr ' ' '\\n'", partition_count=partitions, task_size=4000)
    else:
        total = "awk '{n[$2] += $1} END {for (w in n) print n[w], w}'"
        ended = run(
            user, words, total, mapper="tr ' ' '\\n'", combiner={"exec": combiner}, reduce_by=["2,2"],
            flags="b", partition_count=partitions, task_size=4000,
        )  # fmt: skip
    assert counted(printed(user, ended)) == COUNTED
    assert len(ended.outputs) == partitions


@pytest.mark.thorough
def test_words_are_counted_in_5000_partitions(user: User, words: list[str]) -> None:
    ended = run(user, words, "uniq -c", mapper="tr ' ' '\\n'", partition_count=5000, task_size=4000)
    assert counted(printed(user, ended)) == COUNTED


def test_a_reducer_sees_each_key_once_and_its_lines_sorted(user: User) -> None:
    chance = random.Random(1)
    lines = [f"{chance.randrange(40)},{chance.randrange(1000)},{n}" for n in range(2000)]
    inputs = [user.put(f"keyed{n}", ("\n".join(lines[n * 500 : n * 500 + 500]) + "\n").encode()) for n in range(4)]
    ended = run(
        user, inputs, "cat", reduce_by=["1,1n"], sort_by=["1,1n", "2,2nr"], separator=",",
        partition_count=5, task_size=3000,
    )  # fmt: skip
    found = [text.decode().splitlines() for text in printed(user, ended)]
    assert sorted(itertools.chain(*found)) == sorted(lines)
    keys = [[key for key, _ in itertools.groupby(part, key=lambda line: line.split(",")[0])] for part in found]
    assert len(set(itertools.chain(*keys))) == sum(map(len, keys))  # no key in two tasks, nor twice in one
    for part in found:
        fields = [tuple(map(int, line.split(","))) for line in part]
        assert fields == sorted(fields, key=lambda each: (each[0], -each[1], each[2]))  # ties in the order of the input


def test_a_reducer_reads_more_files_than_it_is_told_of_at_once(user: User, words: list[str]) -> None:
    ended = run(user, words, "uniq -c", mapper="tr ' ' '\\n'", partition_count=2, task_size=200)
    assert counted(printed(user, ended)) == COUNTED
    assert ended.status["progress"]["stages"][0]["completed"] > 128


def test_what_a_reducer_reads_can_be_had_while_its_stage_runs(user: User) -> None:
    inputs = [user.put(f"read{n}", b"b %d\na %d\n" % (n, n)) for n in range(3)]
    with Gate() as gate:
        spec = {"reducer": {"exec": f"({gate.wait('here')}) 2>/dev/null; cat"}, "per_object": True}
        job = user.jobs.create(json.dumps({"type": "map_reduce", "inputs": inputs, "spec": spec}).encode())
        gate.arrivals(1)
        attempt = f"/{user.session.settings.account}/jobs/{job}/live/attempts/1.0.1"
        with user.session.stream("GET", f"{attempt}/input") as reply:
            assert reply.read() == b"b 0\na 0\nb 1\na 1\nb 2\na 2\n"
        sources = json.loads(user.session.call("GET", attempt).content)["input"]
        assert [source["partition"] for source in sources] == [0, 0, 0]
    user.ended(job)


def test_keys_that_compare_equal_meet(user: User) -> None:
    inputs = [user.put("numbers", b"1 a\n01 b\n1.0 c\n2 d\n")]
    ended = run(user, inputs, "cut -d' ' -f2 | tr -d '\\n'; echo", reduce_by=["1,1n"], partition_count=64)
    assert sorted(text.strip() for text in printed(user, ended) if text.strip()) == [b"abc", b"d"]


def test_a_reducer_may_stop_reading_and_a_mapper_too(user: User, words: list[str]) -> None:
    ended = run(user, words, "head -1", mapper="head -1", partition_count=1, task_size=4000)
    assert ended.status["status"] == "completed"
    assert len(printed(user, ended)[0].splitlines()) == 1


@pytest.mark.parametrize("where", ["mapper", "combiner", "reducer"])
def test_a_command_that_fails_fails_the_operation(user: User, words: list[str], where: str) -> None:
    commands: dict[str, Any] = {"mapper": "cat", "combiner": {"exec": "cat"}, "reducer": "cat"}
    commands[where] = {"exec": "cat > /dev/null; exit 7"} if where == "combiner" else "cat > /dev/null; exit 7"
    document = {
        "type": "map_reduce",
        "inputs": words,
        "max_failed_attempts": 1,
        "spec": {
            "mapper": {"exec": commands["mapper"]},
            "combiner": commands["combiner"],
            "reducer": {"exec": commands["reducer"]},
        },
    }
    ended = user.ended(user.jobs.create(json.dumps(document).encode()))
    assert ended.status["result"]["error"]["message"] == "1 attempt failed: user command exited with code 7"
    assert ended.outputs == []


def test_an_output_beside_the_lines_of_a_mapper_fails_it_and_says_why(user: User, words: list[str]) -> None:
    document = {
        "type": "map_reduce",
        "inputs": words,
        "max_failed_attempts": 1,
        "spec": {"mapper": {"exec": "mpipe"}, "reducer": {"exec": "cat"}},
    }
    ended = user.ended(user.jobs.create(json.dumps(document).encode()))
    assert "is an output beside its lines (mpipe)" in ended.status["result"]["error"]["message"]


@pytest.mark.parametrize("command", ["echo nonsense > /proc/$PPID/fd/1", "kill -9 $PPID"])
def test_a_mapper_that_harms_its_shuffle_file_fails_or_has_no_effect(
    user: User, words: list[str], command: str
) -> None:
    document = {
        "type": "map_reduce",
        "inputs": words[:1],
        "max_failed_attempts": 1,
        "spec": {"mapper": {"exec": f"cat; {command}"}, "reducer": {"exec": "cat"}},
    }
    ended = user.ended(user.jobs.create(json.dumps(document).encode()))
    assert ended.status["status"] in ("failed", "completed")
    if ended.status["status"] == "completed":  # its file is as it was
        assert sum(text.count(b"\n") for text in printed(user, ended)) == user.get("words0").count(b"\n") + 1


def test_no_input_gives_no_output(user: User) -> None:
    ended = run(user, [user.put("nothing", b"")], "cat", mapper="cat", partition_count=3)
    assert (ended.status["status"], printed(user, ended)) == ("completed", [])


def test_mjob_mapreduce_counts_words(service: Service, user: User, words: list[str]) -> None:
    done = service.run("mjob", "mapreduce", "-q", "-m", "tr ' ' '\\n'", "-r", "uniq -c", "--partitions", "3", *words)
    assert done.returncode == 0, done.stderr
    assert counted([done.stdout]) == COUNTED
    pipe = subprocess.run(["sort"], input="\n".join(WORDS).encode(), capture_output=True, check=True).stdout
    again = service.run("mjob", "mapreduce", "-q", "-m", "tr ' ' '\\n'", "-r", "cat", "--partitions", "1", *words)
    assert again.stdout == pipe


def test_a_keyed_reduce_phase_counts_words(service: Service, words: list[str]) -> None:
    job = ["mjob", "create", "-m", "tr ' ' '\\n'", "--combine", "cat", "--by", "1", "--count", "3"]
    done = service.run(*job, "-q", "-o", "-r", "uniq -c", stdin="\n".join(words))
    assert counted([done.stdout]) == COUNTED
    plan = service.run(*job, "--dry-run", "-r", "uniq -c", stdin="\n".join(words))
    assert "partition_map     3 tasks" in plan.stderr.decode()


def test_an_input_that_fails_is_an_error_beside_which_the_others_go_on(service: Service, words: list[str]) -> None:
    fails = 'case "$MANTA_INPUT_OBJECT" in *words1) exit 3;; esac; cat'
    done = service.run(
        "mjob", "create", "-q", "-o", "-m", fails, "--by", "1", "-r", "cat", stdin="\n".join(words), check=False
    )
    assert len(done.stdout.splitlines()) == 417
    assert b"user command exited with code 3" in done.stderr
