"""Which scripts and environments are plain."""

from __future__ import annotations

import subprocess

import pytest

from datapath.plain import plain_environment, plain_words

PLAIN = {
    "wc": ["wc"],
    " \twc  -l\t": ["wc", "-l"],
    "grep -E '^[a-z]+$' x": ["grep", "-E", "^[a-z]+$", "x"],
    "sed 's/a/$b; `c` \\d/'": ["sed", "s/a/$b; `c` \\d/"],
    'tr "a b" "*?[c]{d,e}~#&|<>()"': ["tr", "a b", "*?[c]{d,e}~#&|<>()"],
    "cut -d' ' -f1": ["cut", "-d ", "-f1"],
    "sort -k'1,'\"1\"n ''": ["sort", "-k1,1n", ""],
    "awk '{ print $1 \"x\" }'": ["awk", '{ print $1 "x" }'],
    "dd if=/dev/zero of=x bs=1M": ["dd", "if=/dev/zero", "of=x", "bs=1M"],
    "/assets/jill/stor/count.sh x%y +a a@b ^c d:e,f": ["/assets/jill/stor/count.sh", "x%y", "+a", "a@b", "^c", "d:e,f"],
    "./x_1.sh": ["./x_1.sh"],
    "g++ -v": ["g++", "-v"],
    "7z x": ["7z", "x"],
    "wc if then echo": ["wc", "if", "then", "echo"],
    "'w'c": ["wc"],
}

NEEDS_BASH = [
    *("", " ", "\t", "wc\n", "wc\r", "wc\x01", "wc \x7f", "wc é", "'é'", "wc 'a\nb'", 'wc "a\tb"'),
    *("wc $x", 'wc "$x"', 'wc "`x`"', 'wc "a\\b"', 'wc "a!b"', "wc $'x'", 'wc $"x"', "wc \\x", "wc `x`"),
    *("wc *", "wc a?", "wc [a]", "wc {a,b}", "wc a~", "wc ~", "wc x=~", "wc #x", "wc a#", "wc !x"),
    *("wc;", "wc&", "wc|wc", "wc&&wc", "wc>x", "wc 2>x", "wc<x", "(wc)", "wc ()", "! wc", "{ wc", "wc }"),
    *("a=b", "a=b wc", "a+=b", "'a=b'", "-c", "-l x", "+x", " -l", "'-l'", "%1", "@x", ":", "''", "'' x", ",x", "^a^b"),
    *("wc 'x", 'wc "x', "wc '", "w*c", "w c'd"),
    *("echo x", "'echo' x", "if", "time wc", "cd /", ".", ". x", "source x", "exec wc", "command wc", "[ a"),
    *("x" * 4096, "x " * 129),
]


@pytest.mark.parametrize("script", PLAIN)
def test_the_words_of_a_plain_script(script: str) -> None:
    assert plain_words(script) == PLAIN[script]


@pytest.mark.parametrize("script", NEEDS_BASH)
def test_a_script_that_bash_may_do_more_with_is_not_plain(script: str) -> None:
    assert plain_words(script) is None


def test_the_longest_plain_scripts() -> None:
    assert plain_words("x" * 4095) == ["x" * 4095]
    assert plain_words("x " * 128) == ["x"] * 128


def test_no_builtin_or_keyword_of_this_bash_is_a_plain_command() -> None:
    listed = subprocess.run(["bash", "-c", "compgen -b; compgen -k"], capture_output=True, text=True, check=True).stdout
    assert len(listed.split()) > 70
    assert [word for word in listed.split() if plain_words(word) is not None] == []


@pytest.mark.parametrize("name", ["HOME", "PATH", "SHELL", "TMPDIR", "TAR_OPTIONS", "MANTA_X_1", "mc_x", "REMORA_X"])
def test_variables_of_tasks_are_plain(name: str) -> None:
    assert plain_environment({"HOME": "/", name: "() { :; }"})


@pytest.mark.parametrize(
    "name",
    ["BASH_ENV", "BASH_FUNC_wc%%", "IFS", "SHLVL", "PWD", "_", "LANG", "HOMES", "OME", "MANTA_x%%", "MANTA_é", "MANTA"],
)
def test_other_variables_are_not_plain(name: str) -> None:
    assert not plain_environment({"HOME": "/", name: "x"})
