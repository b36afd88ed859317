"""The MD5 of a large output, made while its task prints.

To hash what a task has printed once it has ended takes 1.5 s for each GB, on one processor, and the job waits for it.
So the file is read behind its writer, a piece at a time; at the end only the rest is left to be read. The disk begins
with each piece then, too, since the output has to be durable before it is reported.

Bytes that were hashed must not change any more. So this is for tasks that print into pipes (`outpipe.h`): they never
have the file, and the lackey, which has it, appends.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import threading

from datapath import spool
from scheduler.objects.blobs import CHUNK

# Bytes that are worth a thread, and the most that one hashes before others have their turn.
STEP = 4 << 20
PIECE = 16 << 20
# Seconds between two looks at a file that does not grow: the first pause and the longest.
PAUSES = (0.02, 0.25)


class RunningDigest:
    """The MD5 of the file behind `fd`, which only grows. It has a descriptor of its own until `finish` or `close`."""

    def __init__(self, fd: int) -> None:
        self.file = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.hashed = 0  # bytes
        self._over = False
        self._lock = threading.Lock()

    async def follow(self) -> None:
        """Hash what is written, until the digest is finished or closed."""
        pause = PAUSES[0]
        while not self._over:
            if (size := self._size()) - self.hashed >= STEP:
                await asyncio.to_thread(self._advance, min(size, self.hashed + PIECE))
                pause = PAUSES[0]
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSES[1])

    def _size(self) -> int:
        """Bytes of the file; 0 when it is closed, or just hashed up to its end."""
        if not self._lock.acquire(blocking=False):
            return 0
        try:
            return 0 if self._over else os.fstat(self.file).st_size
        finally:
            self._lock.release()

    def _advance(self, size: int) -> None:
        """Hash up to byte `size`, or less if the file is shorter. In a thread."""
        with self._lock:
            if not self._over and size - self.hashed >= STEP:
                with contextlib.suppress(OSError):  # there may be no such call; a flush tells what is wrong
                    spool.write_back(self.file, self.hashed, size - self.hashed)
            while not self._over and self.hashed < size:
                data = os.pread(self.file, min(CHUNK, size - self.hashed), self.hashed)
                self._md5.update(data)
                self.hashed += len(data)
                if not data:
                    return

    def finish(self, size: int) -> str | None:
        """Base64 of the MD5 of the whole file, of `size` bytes; None if it does not have them. In a thread."""
        self._advance(size)
        self.close()
        return base64.b64encode(self._md5.digest()).decode() if self.hashed == size else None

    def close(self) -> None:
        """Give the descriptor back, once what is hashed just now is. May be called again."""
        with self._lock:
            if not self._over:
                self._over = True
                os.close(self.file)
