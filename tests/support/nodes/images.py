"""Layers and images, made up."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def layer(*members: tuple[str, str | bytes] | tarfile.TarInfo) -> bytes:
    """An archive of files `(name, contents)`; a name that ends in `/` is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, contents = member
            info = tarfile.TarInfo(name.rstrip("/"))
            data = contents.encode() if isinstance(contents, str) else contents
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def blobs_of(*layers: bytes, config: bytes = b"{}", kind: str = "tar") -> tuple[dict[str, object], dict[str, bytes]]:
    """The descriptor of a manifest, and the blobs of an image by digest, its manifest among them."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes, media: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        blobs[digest] = data
        return {"digest": digest, "size": len(data), "mediaType": media}

    layer_media = f"application/vnd.oci.image.layer.v1.{kind}"
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [put(data, layer_media) for data in layers],
    }
    return put(json.dumps(document).encode(), MANIFEST), blobs


def index_of(*manifests: dict[str, object]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


def oci(path: Path, *layers: bytes, config: bytes = b"{}") -> Path:
    """An OCI archive: an index that leads to another one, that to a manifest."""
    manifest, blobs = blobs_of(*layers, config=config)
    inner = index_of(manifest)
    digest = hashlib.sha256(inner).hexdigest()
    files = {f"blobs/sha256/{name.removeprefix('sha256:')}": data for name, data in blobs.items()}
    files |= {
        f"blobs/sha256/{digest}": inner,
        "oci-layout": b"{}",
        "index.json": index_of({"digest": f"sha256:{digest}"}),
    }
    path.write_bytes(layer(*files.items()))
    return path
