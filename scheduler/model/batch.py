"""Bounds of a batch, many small objects that one request puts; the client and the gateway share them.

`gateway.storage.batch` has the format.
"""

from __future__ import annotations

CONTENT_TYPE = "application/x-remora-objects"
MAX_BYTES = 2 << 20  # of a request
MAX_OBJECTS = 500  # of a transaction
MAX_LINE = 16 * 1024  # of the line that describes an object
