"""Jobs in files, and what a dry run says of a job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.client.problem import Problem
from cli.jobs.documents import manifest, plan


def read(tmp_path: Path, text: str, name: str = "job.yaml") -> bytes:
    (tmp_path / name).write_text(text)
    return manifest.read(str(tmp_path / name))


def refused(tmp_path: Path, text: str, name: str = "job.yaml") -> str:
    with pytest.raises(Problem) as caught:
        read(tmp_path, text, name)
    assert caught.value.message.startswith(f"{tmp_path}/{name}")
    return caught.value.message.removeprefix(f"{tmp_path}/{name}")


def test_json_is_taken_byte_for_byte(tmp_path):
    text = '{ "phases": [ {"exec": "wc"} ],\n "name": "é" }\n'
    assert read(tmp_path, text, "job.json") == text.encode()


@pytest.mark.parametrize("name", ["job.yaml", "job.yml", "JOB.YAML"])
def test_yaml_with_comments_is_a_job(tmp_path, name):
    text = """
        # counts words
        name: words
        phases:
          - exec: |
              tr -cs A-Za-z '\\n'
              true
            memory: 256   # enough
          - {type: reduce, exec: wc -l}
    """
    assert json.loads(read(tmp_path, text, name)) == {
        "name": "words",
        "phases": [
            {"exec": "tr -cs A-Za-z '\\n'\ntrue\n", "memory": 256},
            {"type": "reduce", "exec": "wc -l"},
        ],
    }


def test_names_used_twice_in_yaml_are_written_out(tmp_path):
    text = "phases: [&wc {exec: wc}, *wc]"
    assert read(tmp_path, text) == b'{"phases":[{"exec":"wc"},{"exec":"wc"}]}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("phases: [{exec: 2011-01-01}]", ": phases[0].exec is a date: put it in quotes if it is a text"),
        ("a: {b: !!set {x}}", ": a.b is a set: put it in quotes if it is a text"),
        ("a: {1: x}", ": the key 1 of a is no text: put it in quotes"),
        ("yes: x", ": the key True of the job is no text: put it in quotes"),
        ("phases: [\n", " is not YAML: line 2, column 1: expected the node content, but found '<stream end>'"),
        ("!!python/object/apply:os.system ['true']", None),
        ("- &a [*a]", " is nested too deeply"),
        ("[" * 1200, None),
        ("a\0", None),
    ],
)
def test_what_a_job_file_cannot_say_is_refused(tmp_path, text, message):
    said = refused(tmp_path, text)
    assert message in (None, said)


def test_half_a_surrogate_pair_is_no_text(tmp_path):
    with pytest.raises(Problem, match="a job is text in UTF-8, which this is not"):
        read(tmp_path, 'name: "\\ud800"')


def test_a_small_file_that_comes_to_a_huge_job_is_refused(tmp_path):
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 12)]
    assert refused(tmp_path, "\n".join(lines)) == " comes to more than 100000 values"


def test_a_file_that_is_not_json_says_where(tmp_path):
    assert refused(tmp_path, "{", "job.json").startswith(" is not JSON: Expecting property name")
    assert refused(tmp_path, "[" * 100_000, "job.json").startswith(" is not JSON: ")


def checked(document: object) -> plan.JobSpec:
    return plan.checked(json.dumps(document).encode())[1]


def test_a_plan_says_each_phase_in_a_line():
    job = {
        "name": "words",
        "phases": [
            {"exec": "a  b\nc", "assets": ["/j/stor/x", "/j/stor/y"], "init": "true", "memory": 256},
            {"type": "reduce", "exec": "x" * 100, "count": 2, "image": "13.1.*", "disk": 128},
        ],
    }
    assert plan.summary(checked(job), 1) == [
        'would create a job "words" of 2 phases',
        "  0  map      256 MB     8 GB  image *  2 assets  init true  a b c",
        "  1  reduce  1024 MB   128 GB  image 13.1.*  2 reducers  " + "x" * 57 + "...",
        "with 1 input from stdin",
    ]
    assert plan.summary(checked({"phases": [{"exec": "wc"}]}), None)[0] == "would create a job of 1 phase"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"phases": [{}]}', 'property "phases[0].exec": is missing and it is required'),
        (b'{"phases": [{"exec": "wc", "uarg": {"x": NaN}}]}', "Invalid JSON: NaN is not a JSON number"),
        (b'{"phases": [{"exec": "' + b"x" * 100_000 + b'"}]}', "the job's JSON has 100026 bytes, of at most 100000"),
    ],
)
def test_a_plan_is_refused_as_the_service_would(body, message):
    with pytest.raises(Problem) as caught:
        plan.checked(body)
    assert caught.value.message == message
