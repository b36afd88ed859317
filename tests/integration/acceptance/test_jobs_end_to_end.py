"""The main job: real objects, real instances, the answer that the same pipeline gives locally."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.services.service import Service

MAP = "tr -cs A-Za-z '\\n' | sort | uniq -c"
REDUCE = "awk '{n[$2]+=$1} END {for (w in n) print n[w], w}'"


def local_counts(paths: list[Path]) -> list[str]:
    text = b"".join(path.read_bytes() + b"\n" for path in paths)
    counts = subprocess.run(
        ["bash", "-c", f"{MAP} | awk '{{print $1, $2}}'"], input=text, capture_output=True, check=True
    )
    return sorted(line for line in counts.stdout.decode().splitlines() if line.split()[1:])


def counted(output: str) -> list[str]:
    return sorted(line for line in output.splitlines() if line.split()[1:])


@pytest.fixture(scope="module")
def corpus(service: Service, texts: list[Path]) -> list[str]:
    """The sample texts as objects; their names."""
    service.run("mmkdir", "-p", "~~/stor/texts")
    for path in texts:
        service.run("mput", "-f", str(path), f"~~/stor/texts/{path.name}")
    return service.text("mfind", "-t", "o", "~~/stor/texts").split()


def test_word_count_with_one_reducer_equals_the_local_pipeline(service, corpus, texts):
    output = service.text("mjob", "create", "-o", "-m", MAP, "-r", REDUCE, stdin="\n".join(corpus))
    assert counted(output) == local_counts(texts)


def test_word_count_with_four_reducers_equals_the_local_pipeline(service, corpus, texts):
    split = f"{MAP} | awk '{{print $2 \"\\t\" $1}}' | msplit -n 4"
    reduce = "awk -F'\\t' '{n[$1]+=$2} END {for (w in n) print n[w], w}'"
    output = service.text("mjob", "create", "-o", "-m", split, "--count", "4", "-r", reduce, stdin="\n".join(corpus))
    assert counted(output) == local_counts(texts)


def test_a_job_without_input_runs_its_reducer_once(service):
    assert service.text("mjob", "create", "-o", "-m", "cat", "-r", "wc -c").split() == ["0"]


def test_a_failed_task_leaves_an_error_record_and_its_stderr(service, corpus):
    failed = service.run("mjob", "create", "-w", "-m", "echo oops >&2; exit 3", stdin=corpus[0], check=False)
    assert failed.returncode == 1
    assert b"UserTaskError" in failed.stderr
    assert b"oops" in failed.stderr
    job = failed.stdout.decode().split()[0]
    (error,) = [json.loads(line) for line in service.text("mjob", "errors", job).splitlines()]
    assert error["message"] == "user command exited with code 3"
    assert error["what"] == f'phase 0: input "{corpus[0]}"'
    assert (error["input"], error["p0input"], error["phase"]) == (corpus[0], corpus[0], "0")
    assert re.fullmatch(rf"/[^/]+/jobs/{job}/stor{re.escape(corpus[0])}\.0\.err\.[0-9a-f-]{{36}}", error["stderr"])
    assert service.text("mget", error["stderr"]) == "oops\n"
