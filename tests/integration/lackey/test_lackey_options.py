"""What a lackey says to those who start it wrongly."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from datapath import libexec

LACKEY = str(libexec("lackey"))

BAD = [
    ([], "--socket and --work are needed; see --help"),
    (["--socket=3"], "--socket and --work are needed; see --help"),
    (["--socket=2", "--work=/tmp"], "--socket wants a number from 3 to 1048576, not 2"),
    (["--socket=x", "--work=/tmp"], "--socket wants a number from 3 to 1048576, not x"),
    (["--socket=", "--work=/tmp"], "--socket wants a number from 3 to 1048576, not "),
    (["--socket=900", "--work=/tmp"], "--socket is no open descriptor"),
    (["--work=relative"], "--work is not the absolute path of a directory: relative"),
    (["--work=/nowhere"], "--work is not the absolute path of a directory: /nowhere"),
    (["--hide=/nowhere"], "--hide names nothing that is there: /nowhere"),
    (["--hide=/tmp"] * 17, "too many --hide options at /tmp"),
    (["--show-dir=/nowhere"], "--show-dir is not the absolute path of a directory: /nowhere"),
    (["--show-dir=/tmp"], "--show-dir is a directory that instances have of their own: /tmp"),
    (["--show-dir=/"], "--show-dir is a directory that instances have of their own: /"),
    (["--show-dir=/proc/sys"], "--show-dir is a directory that instances have of their own: /proc/sys"),
    (["--show-dir=/mnt"] * 49, "too many --show-dir options at /mnt"),
    (["--group=/etc/passwd"], "--group is not the absolute path of a directory: /etc/passwd"),
    (["--processes=0"], "--processes wants a number from 1 to 4294967295, not 0"),
    (["--show=name"], "--show wants NAME=PATH with an absolute path, not name"),
    (["--show=/etc=/etc"], "--show wants NAME=PATH with an absolute path, not /etc=/etc"),
    (["--show=name=/nowhere"], "--show names nothing that is there: /nowhere"),
    (["--show=name=/tmp"] * 49, "too many --show options at name=/tmp"),
    (["--isolation=vm"], "--isolation is one of auto, namespaces, subreaper, not vm"),
    (["--uid=0"], "--uid wants a number from 1 to 4294901759, not 0"),
    (["--uid=4294967295"], "--uid wants a number from 1 to 4294901759, not 4294967295"),
    (["--disk-bytes=-1"], "--disk-bytes wants a number from 1 to 9223372036854775807, not -1"),
    (["--disk-bytes=1k"], "--disk-bytes wants a number from 1 to 9223372036854775807, not 1k"),
    (["task"], "unexpected argument task"),
    (["--nonsense"], "see --help"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[" ".join(arguments) or "none" for arguments, _ in BAD])
def test_a_bad_option_is_named_in_one_sentence(arguments: list[str], sentence: str) -> None:
    done = subprocess.run([LACKEY, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"lackey: {sentence}"


def test_help_describes_every_option() -> None:
    done = subprocess.run([LACKEY, "--help"], capture_output=True, text=True, check=True)
    options = "socket work show-dir hide tools show agent-socket uid isolation group processes disk-bytes connect help"
    for option in options.split():
        assert f"--{option}" in done.stdout


def start(work: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A lackey with a socket whose other end is closed after it ended."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = [LACKEY, f"--socket={theirs.fileno()}", f"--work={work}", *options]
        return subprocess.run(command, pass_fds=[theirs.fileno()], capture_output=True, text=True, check=False)


def test_an_insisting_lackey_says_why_it_has_no_namespaces(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    done = start(tmp_path, "--isolation=namespaces", *(["--uid=1879048192"] if os.geteuid() == 0 else []))
    assert done.returncode == 1
    assert done.stderr.startswith("lackey: no namespaces: ")


def test_a_missing_tools_directory_is_said(tmp_path: Path) -> None:
    done = start(tmp_path, "--tools=/nowhere")
    assert done.stderr == "lackey: --tools is not the absolute path of a directory: /nowhere\n"
