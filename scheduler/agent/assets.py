"""Assets: objects that are copied into an instance before anything runs in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from scheduler.agent.capture import copy_file
from scheduler.agent.placement import place_of
from scheduler.model.wire import Asset
from scheduler.objects.blobs import BlobStore

ASSET_MODE = 0o777


class AssetError(Exception):
    """An asset is gone; the text is the message of the job error."""


def copy_assets(assets: Iterable[Asset], blobs: BlobStore, root: Path) -> None:
    """Copy each asset to its own name below `root`, executable by all. Raises AssetError.

    The directory is still empty: no task has been here.
    """
    for asset in assets:
        try:
            copy_asset(asset, blobs, os.fspath(root) + place_of(asset.name).path)
        except (OSError, ValueError):
            reason = f'error retrieving asset "{asset.name}" (status code 404)'
            raise AssetError(f"failed to dispatch task: first of 1 error: {reason}") from None


def copy_asset(asset: Asset, blobs: BlobStore, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    writer = os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, ASSET_MODE)
    try:
        os.fchmod(writer, ASSET_MODE)
        if asset.blob.size:
            reader = blobs.open(asset.blob.id)
            try:
                copy_file(reader, writer, asset.blob.size)
            finally:
                os.close(reader)
    finally:
        os.close(writer)
