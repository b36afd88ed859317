"""Assets: objects that are copied into each instance before anything runs in it.

The blob is the node's one copy, whatever the number of its instances. A pool holds it open from the
first of them on, so that an object that is deleted meanwhile is still there for the next instance.
Tasks may modify assets like files of their own, so each instance has a copy; a file system that can
share blocks makes it for nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from scheduler.agent.attempts.input_files import place_of
from scheduler.agent.blobs.stores import Stores
from scheduler.agent.pools.reopened_outputs import LARGE, asset_may_reopen
from scheduler.model.wire import Asset
from scheduler.objects.blobs import LEASED_SECONDS, copy_file

ASSET_MODE = 0o777


class AssetError(Exception):
    """An asset is gone; the text is the message of the job error."""


class Assets:
    """The assets of one pool."""

    def __init__(self, assets: Sequence[Asset], stores: Stores) -> None:
        self._assets = assets
        self._stores = stores
        self._held: dict[str, int] = {}  # descriptors of open blobs
        # whether one of them may open a task's output again; None: not searched yet
        self.may_reopen: bool | None = None
        self._holding = asyncio.Lock()

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._assets)

    async def hold(self) -> None:
        """Open and search the blobs, if they are not open yet. Raises AssetError, OSError."""
        async with self._holding:
            for asset in self._assets:
                await self._hold(asset)
            if self.may_reopen is None:
                self.may_reopen = bool(self._held) and await asyncio.to_thread(self._search)

    def _search(self) -> bool:
        return any(asset_may_reopen(os.pread(fd, LARGE + 1, 0)) for fd in self._held.values())

    async def _hold(self, asset: Asset) -> None:
        if asset.blob.size and asset.blob.id not in self._held:
            try:
                store = self._stores.home(asset.blob.node is None)
                self._held[asset.blob.id] = await store.open_soon(asset.blob.id, LEASED_SECONDS)
            except FileNotFoundError:
                reason = f'error retrieving asset "{asset.name}" (status code 404)'
                raise AssetError(f"failed to dispatch task: first of 1 error: {reason}") from None

    def copy(self, root: Path) -> None:
        """Copy each asset to its own name below `root`, with its owner's full rights. In any thread. Raises OSError.

        The directory is still empty: no task has been here.
        """
        owner = root.stat().st_uid
        for asset in self._assets:
            target = str(root) + place_of(asset.name).path
            make_directories(root, os.path.dirname(target), owner)
            writer = os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, ASSET_MODE)
            try:
                give(writer, owner)
                if asset.blob.size:
                    copy_file(self._held[asset.blob.id], writer, asset.blob.size)
            finally:
                os.close(writer)

    def close(self) -> None:
        while self._held:
            os.close(self._held.popitem()[1])


def make_directories(root: Path, path: str, owner: int) -> None:
    """Make `path` and the missing directories between it and `root`, owned by `owner`."""
    if path == str(root) or os.path.isdir(path):
        return
    make_directories(root, os.path.dirname(path), owner)
    os.mkdir(path)
    give(path, owner)


def give(file: int | str, owner: int) -> None:
    os.chmod(file, ASSET_MODE)
    if owner != os.geteuid():
        os.chown(file, owner, owner)
