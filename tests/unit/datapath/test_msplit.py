"""msplit as a program, against an agent of a few lines."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from datapath.passing import Open, OpenFlag, OpenKind
from tests.support.nodes.tool_agent import FakeAgent, fails, run


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    agent = FakeAgent(tmp_path)
    (tmp_path / "tools").mkdir()
    mkey = tmp_path / "tools/mkey"
    mkey.write_text(f"#!{sys.executable}\nfrom datapath.keys import main\n\nmain()\n")
    mkey.chmod(0o755)
    yield agent
    agent.close()


def parts(agent: FakeAgent, n: int) -> list[bytes]:
    """What the last run wrote."""
    return [agent.asked[-1].data(index) for index in range(n)]


def split(agent: FakeAgent, *argv: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    return run(agent, "msplit", *argv, stdin=stdin, PATH=f"{agent.folder}/tools:/usr/bin:/bin")


def test_msplit_makes_a_part_for_every_reducer(agent: FakeAgent) -> None:
    done = run(agent, "msplit", "-n", "3", stdin=b"a\t1\nfoo\t2\n\na\t3")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (asked,) = agent.asked
    assert asked.request == Open(OpenKind.SPLIT, OpenFlag(0), None, 3, "", "")
    assert [asked.data(index) for index in range(3)] == [b"a\t1\na\t3\n", b"foo\t2\n\n", b""]


def test_msplit_takes_fields_and_delimiter(agent: FakeAgent) -> None:
    assert run(agent, "msplit", "-d", ",", "-f", "2", "-f", "9,8", "-n4", stdin=b"x,foo\ny,a\n").returncode == 0
    assert [agent.asked[0].data(index) for index in range(4)] == [b"", b"y,a\n", b"", b"x,foo\n"]


def test_msplit_by_index_and_by_xxh3(agent: FakeAgent) -> None:
    assert run(agent, "msplit", "-n", "2", "-i", stdin=b"1\tb\n0\ta\n").returncode == 0
    assert [agent.asked[0].data(index) for index in range(2)] == [b"0\ta\n", b"1\tb\n"]
    wrong = run(agent, "msplit", "-n", "2", "-i", stdin=b"2\tb\n")
    fails(wrong, 1, "msplit: Parsed 2 as 2 out of line: 2\tb")
    assert wrong.stderr.endswith(b"\nWhich is not a number or not within the valid range of reducers.\n")
    assert not agent.asked[1].committed
    assert run(agent, "msplit", "-n", "2", "--hash=xxh3", stdin=b"b\n").returncode == 0


def test_mistakes_of_msplit_end_with_2(agent: FakeAgent) -> None:
    fails(run(agent, "msplit"), 2, "msplit: number of reducers must be specified.")
    for number in ("0", "-1", "x", "129", ""):
        fails(run(agent, "msplit", "-n", number), 2, "msplit: invalid number of reducers")
    for wrong in ("0", "x", "-1", "1x"):
        fails(run(agent, "msplit", "-n1", "-f", f"1,{wrong}"), 2, f"msplit: invalid field: {wrong}")
    fails(run(agent, "msplit", "-n1", "-d", "\n"), 2, "msplit: cannot use newline as a delimiter.")
    fails(run(agent, "msplit", "-n1", "-d", ""), 2, "msplit: the delimiter is empty")
    fails(run(agent, "msplit", "-n1", "--hash=sha1"), 2, 'msplit: unknown hash: "sha1" (md5 or xxh3)')
    fails(run(agent, "msplit", "-n1", MANTA_OUTPUT_BASE=None), 2, "msplit: MANTA_OUTPUT_BASE not set")
    fails(run(agent, "msplit", "-n1", "file"), 2, "msplit: unexpected argument: file")
    fails(run(agent, "msplit", "-n1", "-j"), 2, "msplit: no fields specified")
    fails(run(agent, "msplit", "-n1", "-f", ",".join("1" * 257)), 2, "msplit: more than 256 fields")
    assert agent.asked == []


def test_json_lines_are_routed_by_their_values(agent: FakeAgent) -> None:
    lines = b'{"k":"a"}\n {"x":[{"k":"a"}], "k" : "foo" } \n{"k":"\\u0061"}\n{}\n[]\n'
    assert split(agent, "-j", "-f", "k", "-n4", stdin=lines).returncode == 0
    assert parts(agent, 4) == [b"", b'{"k":"a"}\n{"k":"\\u0061"}\n{}\n[]\n', b"", lines.splitlines(True)[1]]


def test_json_values_become_text_as_in_javascript_and_join_by_the_delimiter(agent: FakeAgent) -> None:
    """With -i the key is a number, so a wrong one tells the whole key."""
    cases = {
        b'{"a":"x","b":{"c":[1,null,{"d":2}]}}': "x-1,,[object Object]",
        b'{"a":null}': "null",
        b'{"b":{"c":9.50}}': "9.5",
        b'{"a":9e21,"b":{"c":true}}': "9e+21-true",
        b'{"a":false,"b":""}': "false-",
        b'{"a":"","b":{"c":"z"}}': "z",
        b'{"a":"z","b":{"c":""}}': "z-",
        b'{"a":"\\ud83d\\ude00"}': "\N{GRINNING FACE}",
    }
    for line, key in cases.items():
        wrong = split(agent, "-n2", "-i", "-j", "-d", "-", "-f", "a,b.c", stdin=line + b"\n")
        assert wrong.stderr.decode().startswith(f"msplit: Parsed {key} as "), line


def some_json(random: Random, depth: int = 3) -> object:
    scalars = [
        None,
        True,
        False,
        0,
        -0.0,
        1,
        -7,
        1.5,
        1e21,
        1e-7,
        123456789012345678,
        "",
        "x",
        "\n",
        "\ud83d\ude00",
        "\ud83d",
    ]
    kind = random.random()
    if depth == 0 or kind < 0.4:
        return random.choice(scalars)
    if kind < 0.6:
        return [some_json(random, depth - 1) for _ in range(random.randrange(6))]
    return {random.choice(["a", "b", "", "\u00e9"]): some_json(random, depth - 1) for _ in range(random.randrange(5))}


@pytest.mark.parametrize("paths", ["a", "a.b,b", "a.3,.a,b.a.b", "\u00e9,a.a"])
def test_values_are_found_and_printed_as_javascript_does_it(agent: FakeAgent, paths: str) -> None:
    """The same lines by -j and by a script that does what the original did."""
    random = Random(paths)
    documents = [{"a": some_json(random), "b": some_json(random), "": some_json(random)} for _ in range(500)]
    stdin = "".join(json.dumps(document, ensure_ascii=random.random() < 0.5) + "\n" for document in documents)
    script = """
        var key = '', found;
        for (var path of PATHS.split(',')) {
            var names = path.split('.');
            found = this[names[0]];
            for (var i = 1; found && i < names.length; i++)
                found = found[names[i]];
            if (found !== undefined)
                key += (key ? '\\t' : '') + found;
        }
        return key;
    """.replace("PATHS", repr(paths))
    both = []
    for keys in (["-f", paths], ["-e", script]):
        assert split(agent, "-n101", "-j", *keys, stdin=stdin.encode("utf-8", "replace")).returncode == 0
        both.append(parts(agent, 101))
    assert both[0] == both[1]


def test_a_line_that_is_no_json_ends_a_split(agent: FakeAgent) -> None:
    fails(
        split(agent, "-n2", "-j", "-f", "a", stdin=b'{"a":1}\n{"a":}\n'), 1, 'msplit: error: input is not json: {"a":}'
    )
    fails(split(agent, "-n2", "-j", "-f", "a", stdin=b"{}\n\n"), 1, "msplit: error: input is not json: ")
    fails(split(agent, "-n2", "-j", "-f", "a", stdin=b" null\n"), 1, "msplit: error: input has no fields: null")
    assert not any(asked.committed for asked in agent.asked)


def test_json_lines_may_be_longer_than_any_buffer(agent: FakeAgent) -> None:
    lines = b'{"long":"' + b"x" * 3_000_000 + b'","k":1}\n{"k":0}\r\n{"k":1}'
    assert split(agent, "-n2", "-i", "-j", "-f", "k", stdin=lines).returncode == 0
    assert parts(agent, 2) == [b'{"k":0}\n', lines.splitlines(True)[0] + b'{"k":1}\n']
    key = b"y" * 2_000_000
    assert split(agent, "-n2", "-j", "-f", "k,k", stdin=b'{"k":"' + key + b'"}\n').returncode == 0
    assert sum(map(len, parts(agent, 2))) == len(key) + len(b'{"k":""}\n')


def test_a_script_makes_the_key_of_a_line(agent: FakeAgent) -> None:
    lines = b"xa,1\r\nxfoo,2\n,3"
    for script in ("line.split(',')[0].substring(1)", "this.line.match(/^x?([a-z]*)/)[1];", "return line.slice(1, -2)"):
        assert split(agent, "-n4", "-e", script, stdin=lines).returncode == 0
        assert parts(agent, 4) == [b"", b"xa,1\n,3\n", b"", b"xfoo,2\n"]


def test_a_script_sees_json_as_this(agent: FakeAgent) -> None:
    lines = b'{"id":"foo1"}\n\n{"id":"a7"}\n'
    script = "if (line === '') return 'a'; return this.id.slice(0, -1)"
    assert split(agent, "-n4", "-j", "-e", script, stdin=lines).returncode == 0
    assert parts(agent, 4) == [b"", b'\n{"id":"a7"}\n', b"", b'{"id":"foo1"}\n']


def test_a_script_keeps_its_variables_from_line_to_line(agent: FakeAgent) -> None:
    script = "n = (typeof n == 'undefined' ? 0 : n + 1), n % 2"
    stdin = b"".join(b"%d\n" % number for number in range(2000))
    assert split(agent, "-n2", "-i", "-e", script, stdin=stdin).returncode == 0
    assert parts(agent, 2)[1] == b"".join(b"%d\n" % number for number in range(1, 2000, 2))


def test_lines_keep_their_bytes_whatever_a_script_sees_of_them(agent: FakeAgent) -> None:
    lines = [b"\xff\0\xc3\xa9", b"\xe2\x82", bytes([*range(1, 10), 11, 12, *range(14, 256)]), b"z" * 3_000_000]
    assert split(agent, "-n1", "-e", "line + '\\n'", stdin=b"\n".join(lines)).returncode == 0
    assert parts(agent, 1) == [b"\n".join(lines) + b"\n"]


def test_a_key_that_a_script_must_not_make_ends_a_split(agent: FakeAgent) -> None:
    cases = {
        "line.length": "3 must be one of types [string], but was type number",
        "[1]": "1 must be one of types [string], but was type object",
        "undefined": "undefined must be one of types [string], but was type undefined",
        "line.x.y": "TypeError: cannot read property 'y' of undefined in line: abc",
        "(": "cannot run the script: SyntaxError: unexpected token in expression: ')'",
        "return '": "cannot run the script: SyntaxError: unexpected end of string",
        "return {toString: null}": "the key cannot be made a string",
    }
    for script, sentence in cases.items():
        fails(split(agent, "-n2", "-e", script, stdin=b"abc\n"), 1, f"msplit: {sentence}")
    fails(split(agent, "-n2", "-je", "'x'", stdin=b"{\n"), 1, "msplit: error: input is not json: {")
    fails(split(agent, "-n2", "-ie", "[1]", stdin=b"x\n"), 1,
          "msplit: 1 must be one of types [string, number], but was type object")  # fmt: skip
    wrong = split(agent, "-n2", "-ie", "line.length - 0.5", stdin=b"abc\n")
    fails(wrong, 1, "msplit: Parsed 2.5 as 2 out of line: abc")
    assert not any(asked.committed for asked in agent.asked)


def test_without_the_helper_a_script_is_refused(agent: FakeAgent) -> None:
    why = "cannot start mkey, which runs JavaScript: No such file or directory"
    fails(run(agent, "msplit", "-n1", "-e", "line", stdin=b"a\n", PATH="/nowhere"), 1, f"msplit: {why}")
    assert agent.asked == []


@pytest.mark.parametrize(
    ("helper", "why"),
    [
        ("exit 3", "mkey has ended"),
        (r"printf '\0\0\0\0'", "mkey has ended"),
        (r"printf '\0\0\0\0\1\0\0\0\377\377\0\0abc'; head -c 5 >/dev/null", "mkey has ended"),
        (r"printf '\5\0\0\0'", "mkey has sent something else than keys (is it of another version?)"),
    ],
)
def test_a_helper_that_is_not_one_ends_the_split(agent: FakeAgent, tmp_path: Path, helper: str, why: str) -> None:
    (tmp_path / "mkey").write_text(f"#!/bin/sh\n{helper}\n")
    (tmp_path / "mkey").chmod(0o755)
    done = run(agent, "msplit", "-n1", "-e", "line", stdin=b"a\n", PATH=f"{tmp_path}:/usr/bin:/bin")
    fails(done, 1, f"msplit: cannot run the script: {why}")
    assert not any(asked.committed for asked in agent.asked)


def test_a_long_sentence_about_a_script_is_cut(agent: FakeAgent) -> None:
    done = split(agent, "-n1", "-e", "line.no.thing", stdin=b"x" * 100_000)
    assert done.returncode == 1
    assert done.stderr.startswith(b"msplit: TypeError: cannot read property 'thing' of undefined in line: xxx")
    assert len(done.stderr) < 1000


def test_parts_can_be_compressed(agent: FakeAgent) -> None:
    stdin = b"".join(b"%d\t%d\n" % (number % 7, number) for number in range(100_000))
    assert split(agent, "-n3", stdin=stdin).returncode == 0
    plain = parts(agent, 3)
    assert split(agent, "-z", "-n3", stdin=stdin).returncode == 0
    compressed = parts(agent, 3)
    assert [gzip.decompress(part) for part in compressed] == plain
    assert agent.asked[-1].committed
    assert split(agent, "-z", "-n2", stdin=b"").returncode == 0
    assert [gzip.decompress(part) for part in parts(agent, 2)] == [b"", b""]


def test_a_failure_to_compress_ends_a_split(agent: FakeAgent, tmp_path: Path) -> None:
    missing = run(agent, "msplit", "-n2", "-z", stdin=b"a\n", PATH="/nowhere")
    fails(missing, 1, "msplit: cannot start gzip: No such file or directory")
    (tmp_path / "gzip").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "gzip").chmod(0o755)
    broken = run(agent, "msplit", "-n2", "-z", stdin=b"a\n" * 1_000_000, PATH=f"{tmp_path}:/bin")
    fails(broken, 1, "msplit: gzip failed with status 3 on the part of reducer 0")
    assert not any(asked.committed for asked in agent.asked)
