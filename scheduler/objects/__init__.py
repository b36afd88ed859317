"""The object store: names in the database, bytes in a blob directory.

An *object* is a name with metadata; a *blob* is immutable bytes. An object's etag is
the UUID of its blob, so an object is replaced by pointing its name at another blob,
never by writing into one. Three things follow:

- A reader that has opened a blob may keep reading, or splice its pages into a pipe,
  whatever happens to the name meanwhile.
- Bytes come first, names after: a blob is written, made durable, and only then named
  by a transaction. A crash in between leaves a blob without a name, which `sweep` finds.
- A SnapLink is a second name for a blob. A blob dies with its last name.

`namespace` decides and records (functions of a `Connection`); `blobs` holds bytes.
"""
