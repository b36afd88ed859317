"""Which scripts and assets may open a task's own output again, and which cannot."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest

from scheduler.agent.pools.reopened_outputs import LARGE, asset_may_reopen, script_may_reopen


@pytest.mark.parametrize(
    "script",
    [
        "echo a > /dev/stdout",
        "echo a >>/dev/stderr",
        "echo a | tee /dev/fd/2",
        "sort -o /dev/stdout",
        "curl -o/dev/stdout $MANTA_URL",
        "curl --output=/dev/stdout $MANTA_URL",
        "echo a 2>/dev/null >/dev/stderr",
        "echo a > //dev//stdout",
        "cd /; echo a > dev/stdout",
        "cd /dev && echo a > stdout",
        'for f in out err; do echo a > "/dev/std$f"; done',
        "echo a > /dev/nullify",
        "echo a > /proc/self/fd/1",
        "cd /proc/self/fd; echo a > 1",
        'python3 -c \'open("/dev/stdout", "w")\'',
        """python3 -c 'import os; open(os.path.join("/dev", "stdout"), "a")'""",
        "bash",
        "sh -x",
        "python3 -",
        "make-commands | sh",
        "sh<commands; true",
        'bash "$MANTA_INPUT_FILE"',
        "bash -e ${MANTA_INPUT_FILE}",
        "xargs -I{} sh -c {}",
        '. "$MANTA_INPUT_FILE"',
        "cd /tmp;source $mc_input_file",
        'eval "$(cat)"',
    ],
)
def test_a_script_that_may_open_its_outputs_again(script: str) -> None:
    assert script_may_reopen(script)


@pytest.mark.parametrize(
    "script",
    [
        "",
        "wc",
        "grep -c ERROR 2>/dev/null",
        "grep x </dev/null &>/dev/null; true",
        "head -c 8 /dev/urandom | od; dd if=/dev/zero of=/dev/full",
        "exec 9<> /dev/tcp/127.0.0.1/80; ls /dev/shm/ /dev/shm",
        "nproc; ls proceedings procedures.d x-dev/ devel/ /developer /home/a/my.dev/x",
        "npm run dev; sleep 1 >&2",
        "bash /assets/jill/stor/run.sh",
        "bash -c 'wc -l'",
        "python3 -u /assets/jill/stor/map.py",
        "perl -ne 'print'",
        "cat run.sh; find . -name x | wc; ssh; ls /usr/share/perl5/",
    ],
)
def test_a_script_that_cannot(script: str) -> None:
    assert not script_may_reopen(script)


def zipped() -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("x", "x")
    return file.getvalue()


def archived() -> bytes:
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w") as archive:
        data = gzip.compress(b"x")
        (member := tarfile.TarInfo("x.gz")).size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"#!/bin/sh\necho a > /dev/stderr\n",
        b"\x7fELF\0\0/dev/stdout\0",
        b"\xff\xfe/proc/self/fd/1",
        gzip.compress(b"echo a"),
        zipped(),
        archived(),
        bytes(LARGE + 1),
    ],
    ids=["script", "program", "no text", "gzip", "zip", "gzip in tar", "large"],
)
def test_an_asset_that_may(data: bytes) -> None:
    assert asset_may_reopen(data)


@pytest.mark.parametrize(
    "data", [b"", b"#!/bin/sh\nsort 2>/dev/null\n. ./lib.sh\n", b"\x7fELF\0\0/lib\0", bytes(LARGE)]
)
def test_an_asset_that_cannot(data: bytes) -> None:
    assert not asset_may_reopen(data)
