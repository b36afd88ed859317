"""Images: the root file systems that containers can have.

`store` keeps images by name and version, each in a directory of its own that is whole or not
there. `sources` fills one: from a directory, an archive, or a Linux distribution; `registry`
pulls one from a registry by OCI's distribution API.

What an archive holds is not trusted: `unpack` runs in a process of its own, bounded in bytes
and entries, and writes nowhere but below its directory.
"""
