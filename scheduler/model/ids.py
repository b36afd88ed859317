"""Identifiers: UUIDs in canonical form, 36 characters of lower-case hexadecimal digits and dashes.

Blobs, objects, jobs and tasks are named so. A path or a URL is made of such an id, so what is none never gets that
far: `../../etc/passwd` is no id, and neither is the same UUID in upper case, which would be a second name for a file.
"""

from __future__ import annotations

import re

PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
is_id = re.compile(PATTERN).fullmatch
