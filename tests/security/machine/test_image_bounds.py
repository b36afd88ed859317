"""An image of strangers takes so much of the machine and no more, and a registry leads to no unsafe place."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from scheduler.providers.images import unpack
from scheduler.providers.images.registry import Reference, Repository, client_of
from scheduler.providers.images.sources import MAX_LAYERS, Allowance, fill_from, unpack_oci
from scheduler.providers.images.store import ImageError
from tests.support.nodes.images import blobs_of, index_of, layer, oci

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NO ARCHIVE IS UNPACKED: that needs root")
MIB = 1 << 20
REFERENCE = Reference.parse("registry.example/team/tools:1")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def stored(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def header(kind: bytes, size: int) -> bytes:
    """A tar header that says that a block of a size follows, and nothing after it."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@needs_root
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress])
def test_an_archive_that_decompresses_to_more_than_is_allowed_is_refused(
    tmp_path: Path, target: Path, compress: Callable[[bytes], bytes]
) -> None:
    bomb = written(tmp_path / "bomb", compress(layer(("a", bytes(MIB)), ("b", bytes(8 * MIB)))))
    with pytest.raises(ImageError, match="more bytes"):
        fill_from(bomb, target, Allowance(4 * MIB))
    assert stored(target) <= 4 * MIB


@needs_root
def test_layers_share_what_is_allowed(tmp_path: Path, target: Path) -> None:
    layers = [gzip.compress(layer((f"{number}", bytes(MIB)))) for number in range(4)]
    fill_from(oci(tmp_path / "fits", *layers), target, Allowance(4 * MIB))
    with pytest.raises(ImageError, match="more bytes"):
        fill_from(oci(tmp_path / "more", *layers, layer(("4", b"x"))), target, Allowance(4 * MIB))


@needs_root
def test_an_archive_of_too_many_files_is_refused(tmp_path: Path, target: Path) -> None:
    many = written(tmp_path / "many", layer(*((f"{number}", "") for number in range(100))))
    with pytest.raises(ImageError, match="more files"):
        fill_from(many, target, Allowance(files=50))
    assert len(list(target.iterdir())) <= 50


@needs_root
@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_of_gigabytes_is_not_read(tmp_path: Path, target: Path, kind: bytes) -> None:
    huge = header(kind, 4 << 30)
    with pytest.raises(ImageError, match=r"a header of it has 4294967296 bytes"):
        fill_from(written(tmp_path / "first", gzip.compress(layer(("a", ""))[:512] + huge + bytes(MIB))), target)


@needs_root
def test_a_long_name_is_refused_and_a_usual_one_is_not(tmp_path: Path, target: Path) -> None:
    deep = "/".join(["d" * 100] * 30)
    fill_from(written(tmp_path / "deep", layer((deep, "x"))), target)
    assert (target / deep).read_text() == "x"
    with pytest.raises(ImageError, match="a name in it has more than 4096"):
        fill_from(written(tmp_path / "deeper", layer(("d/" * 3000, ""))), target)


@needs_root
def test_a_sparse_file_is_as_large_as_it_says(tmp_path: Path, target: Path) -> None:
    holes = tmp_path / "holes"
    with open(holes, "wb") as file:
        file.truncate(1 << 40)
    subprocess.run(["tar", "-cSf", tmp_path / "sparse", "-C", tmp_path, "holes"], check=True)
    with pytest.raises(ImageError, match="more bytes"):
        fill_from(tmp_path / "sparse", target, Allowance(1 << 30))


def test_a_directory_that_is_too_large_is_not_copied(tmp_path: Path, target: Path) -> None:
    (tmp_path / "tree").mkdir()
    written(tmp_path / "tree" / "a", bytes(2 * MIB))
    with pytest.raises(ImageError, match="larger than it may be"):
        fill_from(tmp_path / "tree", target, Allowance(MIB))
    assert not list(target.iterdir())


@needs_root
def test_unpacking_keeps_no_power_but_that_over_files(target: Path) -> None:
    """Mounts, devices, other networks, chroot out of the chroot: the kernel is asked what is left."""
    code = f"""
import os, sys
sys.argv = ["unpack", {str(target)!r}, "1", "1"]
sys.path.insert(0, {str(Path(unpack.__file__).parent)!r})
import unpack
status = os.open("/proc/self/status", os.O_RDONLY)
unpack.confine(1)
print(os.pread(status, 8192, 0).decode())
"""
    told = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    facts = dict(line.split(":\t") for line in told.splitlines() if ":\t" in line)
    assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0b11111
    assert facts["NoNewPrivs"] == "1"


@needs_root
def test_an_image_of_too_many_layers_or_of_parts_without_a_size_is_refused(tmp_path: Path, target: Path) -> None:
    with pytest.raises(ImageError, match=f"layers, of at most {MAX_LAYERS}"):
        fill_from(oci(tmp_path / "many", *[layer()] * (MAX_LAYERS + 1)), target)


class Registry:
    """A registry that answers as it is told, and remembers what it was asked."""

    def __init__(self, **answers: httpx.Response) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = answers

    def pull(self, target: Path, login: tuple[str, str] | None = None, allowance: Allowance | None = None) -> None:
        with client_of(REFERENCE, plain=False, transport=httpx.MockTransport(self._answer)) as client:
            unpack_oci(Repository(REFERENCE, client, login), target, allowance)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answers[request.url.path.rpartition("/")[2].replace(":", "_")]


def image(*layers: bytes, **changed: object) -> dict[str, httpx.Response]:
    """The answers of a registry that has an image; `changed` is what the descriptors of its layers say."""
    manifest, blobs = blobs_of(*layers)
    document = json.loads(blobs.pop(str(manifest["digest"])))
    for descriptor in document["layers"]:
        descriptor.update(changed)
    told = json.dumps(document).encode()
    digest = f"sha256:{hashlib.sha256(told).hexdigest()}"
    blobs |= {digest: told, "1": index_of({"digest": digest})}
    return {name.replace(":", "_"): httpx.Response(200, stream=httpx.ByteStream(data)) for name, data in blobs.items()}


@needs_root
@pytest.mark.parametrize("size", [None, -1, "4", 100])
def test_a_layer_has_the_size_that_its_descriptor_says(target: Path, size: object) -> None:
    with pytest.raises(ImageError, match=r"does not say the size|has more bytes than it may have"):
        Registry(**image(layer(("a", "x")), size=size)).pull(target)


@needs_root
def test_a_registry_that_takes_too_long_is_left(target: Path) -> None:
    with pytest.raises(ImageError, match="takes longer to arrive"):
        Registry(**image(layer(("a", "x")))).pull(target, allowance=Allowance(until=0.0))


@pytest.mark.parametrize("place", ["http://registry.example/x", "http://127.0.0.1:4646/v1/jobs", "http://10.0.0.1/"])
def test_a_redirect_leads_to_https_or_nowhere(target: Path, place: str) -> None:
    registry = Registry(**{"1": httpx.Response(307, headers={"location": place})})
    with pytest.raises(ImageError, match="a place that is not safe"):
        registry.pull(target)
    assert [request.url.host for request in registry.asked] == ["registry.example"]


def test_a_token_does_not_follow_a_redirect_to_another_host(target: Path) -> None:
    realm = {"www-authenticate": 'Bearer realm="https://auth.registry.example/token"'}
    elsewhere = httpx.Response(307, headers={"location": "https://cdn.invalid/x"})
    answers = iter([httpx.Response(401, headers=realm), elsewhere, httpx.Response(404)])
    found = httpx.Response(200, stream=httpx.ByteStream(b"{}"))
    registry = Registry(token=httpx.Response(200, json={"token": "t"}), x=found)
    usual = registry._answer

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "registry.example":
            registry.asked.append(request)
            return next(answers)
        return usual(request)

    registry._answer = answer
    with pytest.raises(ImageError):
        registry.pull(target, login=("jill", "secret"))
    sent = {request.url.host: request.headers.get("authorization") for request in registry.asked}
    assert sent["auth.registry.example"].startswith("Basic ")
    assert sent["registry.example"] == "Bearer t"
    assert sent["cdn.invalid"] is None


def test_the_reply_of_a_token_server_is_read_up_to_a_bound(target: Path) -> None:
    realm = {"www-authenticate": 'Bearer realm="https://registry.example/token"'}
    endless = httpx.Response(200, content=(b'{"token":"' + b"x" * (5 * MIB) + b'"}'))
    registry = Registry(**{"1": httpx.Response(401, headers=realm), "token": endless})
    with pytest.raises(ImageError):
        registry.pull(target)
