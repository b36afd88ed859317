"""Images from a registry: Debian's own, and what others may answer."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import zstandard

from scheduler.providers.images.registry import Reference, Repository, pull
from scheduler.providers.images.sources import machine, unpack_oci
from scheduler.providers.images.store import ImageError
from tests.support.eventually import eventually_here
from tests.support.nodes.images import INDEX, MANIFEST, blobs_of, index_of, layer, link
from tests.support.services.service import Service

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NO IMAGE IS PULLED: that needs root")
needs_registry = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="NO REGISTRY IS ASKED: docker-registry is not installed"
)
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
FOREIGN = {"os": "linux", "architecture": "s390x"}
OURS = {"os": "linux", "architecture": machine()}


class Registry:
    """A registry on this machine, and how images get there."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.client = httpx.Client(base_url=f"http://{host}", trust_env=False)

    def push(self, name: str, blobs: dict[str, bytes]) -> None:
        for digest, data in blobs.items():
            place = self.client.post(f"/v2/{name}/blobs/uploads/").headers["location"]
            self.client.put(httpx.URL(place).copy_add_param("digest", digest), content=data).raise_for_status()

    def name(self, name: str, version: str, document: bytes, media: str) -> str:
        answer = self.client.put(
            f"/v2/{name}/manifests/{version}", content=document, headers={"content-type": media}
        ).raise_for_status()
        return str(answer.headers["docker-content-digest"])

    def image(self, name: str, version: str, *layers: bytes, config: bytes = b"{}") -> str:
        """Push an image; its digest."""
        manifest, blobs = blobs_of(*layers, config=config)
        document = blobs.pop(str(manifest["digest"]))
        self.push(name, blobs)
        return self.name(name, version, document, MANIFEST)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    place = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (place / "config.yml").write_text(CONFIG.format(root=place / "data", port=port))
    running = subprocess.Popen(
        ["docker-registry", "serve", place / "config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually_here(lambda: running.poll() is not None or listens(port), "the registry listens")
        assert running.poll() is None
        yield Registry(f"127.0.0.1:{port}")
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@needs_root
@needs_registry
def test_the_layers_of_an_image_are_pulled_and_lie_over_one_another(registry: Registry, target: Path) -> None:
    below, above = layer(("a", "1"), ("gone", "1")), layer((".wh.gone", ""), ("b", "2"))
    registry.image("team/tools", "1.2", gzip.compress(below), zstandard.compress(above))
    pull(f"{registry.host}/team/tools:1.2", target, plain=True)
    assert {path.name: path.read_text() for path in target.iterdir()} == {"a": "1", "b": "2"}


@needs_root
@needs_registry
def test_of_an_image_for_many_machines_the_one_for_ours_is_taken(registry: Registry, target: Path) -> None:
    theirs = {"digest": registry.image("many", "theirs", layer(("a", "theirs"))), "platform": FOREIGN}
    ours = {"digest": registry.image("many", "ours", layer(("a", "ours"))), "platform": OURS}
    both = [each | {"mediaType": MANIFEST, "size": 1} for each in (theirs, ours)]
    registry.name("many", "latest", index_of(*both), INDEX)
    pull(f"{registry.host}/many", target, plain=True)
    assert (target / "a").read_text() == "ours"


@needs_root
@needs_registry
def test_an_image_is_known_by_its_digest_too(registry: Registry, target: Path) -> None:
    digest = registry.image("exact", "1", layer(("a", "1")))
    registry.image("exact", "1", layer(("a", "2")))
    pull(f"{registry.host}/exact:1@{digest}", target, plain=True)
    assert (target / "a").read_text() == "1"


@needs_root
@needs_registry
def test_an_image_for_another_machine_only_is_refused(registry: Registry, target: Path) -> None:
    registry.image("foreign", "1", layer(("a", "1")), config=json.dumps(FOREIGN).encode())
    with pytest.raises(ImageError, match="the image is for linux on s390x, not on"):
        pull(f"{registry.host}/foreign:1", target, plain=True)


@needs_root
@needs_registry
def test_what_the_registry_has_not_is_said(registry: Registry, target: Path) -> None:
    with pytest.raises(ImageError, match=r"has no nothing/here:1$"):
        pull(f"{registry.host}/nothing/here:1", target, plain=True)


@needs_root
@needs_registry
def test_a_layer_of_strangers_reaches_nothing_outside(registry: Registry, target: Path) -> None:
    victim = target.parent / "victim"
    registry.image("evil", "1", layer(link("out", str(target.parent)), ("out/victim", "bad"), ("../victim", "bad")))
    with pytest.raises(ImageError, match="cannot be unpacked"):
        pull(f"{registry.host}/evil:1", target, plain=True)
    assert not victim.exists()


@needs_root
@needs_registry
def test_the_command_pulls_and_gives_a_version(registry: Registry, tmp_path: Path) -> None:
    registry.image("bash", "5", layer(("bin/", ""), ("bin/bash", "bash")))
    service = Service(tmp_path / "state")
    said = service.text("remora", "image", "pull", "--insecure", f"{registry.host}/bash:5", "17.0.0")
    listed = json.loads(service.text("remora", "image", "ls", "--json"))
    assert said == f"17.0.0\t{listed['id']}\n"
    assert (listed["versions"], listed["source"]) == (["17.0.0"], f"{registry.host}/bash:5")
    assert (tmp_path / "state" / "images").stat().st_mode & 0o077 == 0  # a program there may be setuid


# -- what no registry here does --


def ok(content: bytes) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(content))


def repository(answer: Callable[[httpx.Request], httpx.Response], **options: object) -> Repository:
    client = httpx.Client(
        transport=httpx.MockTransport(answer), base_url="https://registry.example", follow_redirects=True
    )
    return Repository(Reference.parse("registry.example/team/tools:1"), client, **options)


def serving(*layers: bytes) -> Callable[[httpx.Request], httpx.Response]:
    manifest, blobs = blobs_of(*layers)

    def answer(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        return ok(blobs[str(manifest["digest"]) if name == "1" else name])

    return answer


@needs_root
@pytest.mark.parametrize("login", [None, ("jill", "secret")])
def test_a_token_is_fetched_where_the_registry_says(target: Path, login: tuple[str, str] | None) -> None:
    give = serving(layer(("a", "1")))
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            asked.append((dict(request.url.params), request.headers.get("authorization")))
            return httpx.Response(200, json={"token": "opensesame"})
        if request.headers.get("authorization") != "Bearer opensesame":
            where = 'Bearer realm="https://auth.example/token",service="registry.example"'
            return httpx.Response(401, headers={"www-authenticate": where})
        return give(request)

    unpack_oci(repository(answer, login=login), target)
    assert (target / "a").read_text() == "1"
    wanted = {"service": "registry.example", "scope": "repository:team/tools:pull"}
    assert asked == [(wanted, "Basic amlsbDpzZWNyZXQ=" if login else None)]


def test_a_password_goes_to_no_place_that_is_not_safe(target: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "registry.example"
        return httpx.Response(401, headers={"www-authenticate": 'Bearer realm="http://auth.example/token"'})

    with pytest.raises(ImageError, match="from a place that is not safe"):
        unpack_oci(repository(answer, login=("jill", "secret")), target)


def test_an_image_that_strangers_cannot_have_is_told(target: Path) -> None:
    refuse = lambda request: httpx.Response(401, headers={"www-authenticate": "Basic realm=x"})  # noqa: E731
    with pytest.raises(ImageError, match=r"does not give team/tools to strangers \(try --user\)"):
        unpack_oci(repository(refuse), target)


@needs_root
def test_a_layer_with_other_contents_than_its_digest_is_refused(target: Path) -> None:
    give, data = serving(layer(("a", "1"))), layer(("a", "2"))

    def answer(request: httpx.Request) -> httpx.Response:
        given = give(request)
        return ok(data) if len(given.read()) == len(data) else ok(given.content)

    with pytest.raises(ImageError, match="the image is damaged"):
        unpack_oci(repository(answer), target)


def test_a_digest_is_not_taken_on_somebodys_word(target: Path) -> None:
    exact = Reference("registry.example", "tools", f"sha256:{'0' * 64}")
    client = httpx.Client(transport=always(b'{"layers": []}'), base_url="https://registry.example")
    with pytest.raises(ImageError, match="gave other contents"):
        unpack_oci(Repository(exact, client), target)


def always(content: bytes) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: ok(content))


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"manifests": 1}', b'{"manifests": [{"digest": "md5:1"}]}', b"<p>"]
)
def test_what_is_no_document_is_told(target: Path, answer: bytes) -> None:
    with pytest.raises(ImageError, match=r"no whole OCI image|in an unknown way|no image for"):
        unpack_oci(repository(lambda request: ok(answer)), target)


@pytest.mark.parametrize(
    ("text", "host", "name", "version"),
    [
        ("python", "registry-1.docker.io", "library/python", "latest"),
        ("team/tools:1.2", "registry-1.docker.io", "team/tools", "1.2"),
        ("docker.io/python", "registry-1.docker.io", "library/python", "latest"),
        ("localhost/tools", "localhost", "tools", "latest"),
        ("localhost:5000/tools:a", "localhost:5000", "tools", "a"),
        ("[::1]:5000/tools", "[::1]:5000", "tools", "latest"),
        ("registry.example/a/b/c:1", "registry.example", "a/b/c", "1"),
        (f"host:80/a:1@sha256:{'a' * 64}", "host:80", "a", f"sha256:{'a' * 64}"),
    ],
)
def test_references_are_read_as_everywhere(text: str, host: str, name: str, version: str) -> None:
    assert Reference.parse(text) == Reference(host, name, version)


@pytest.mark.parametrize(
    "text", ["", "A", "a:b:c", "../x", "https://host.example/a", "host.example/", "a@sha256:12", "a b"]
)
def test_what_is_no_reference_is_told(text: str) -> None:
    with pytest.raises(ImageError, match="is no reference to an image"):
        Reference.parse(text)


def test_plain_http_is_for_this_machine_only(target: Path) -> None:
    with pytest.raises(ImageError, match="an image from there takes HTTPS"):
        pull("registry.example/team/tools:1", target, plain=True)


def test_who_cannot_be_reached_is_told(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ImageError, match=f"cannot pull localhost:{port}/a: "):
        pull(f"localhost:{port}/a", target, plain=True)
