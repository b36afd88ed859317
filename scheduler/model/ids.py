"""Identifiers: UUIDs in canonical form, 36 characters of lower-case hexadecimal digits and dashes.

Blobs, objects, jobs and tasks have such ids. Paths and URLs are made of ids, so other texts are refused first:
`../../etc/passwd` is no id, and neither is the same UUID in upper case, which would be a second name for a file.
"""

from __future__ import annotations

import re

PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
is_id = re.compile(PATTERN).fullmatch
