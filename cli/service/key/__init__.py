"""remora key: the keys of an account."""

from __future__ import annotations

from cli.frame import Lazy

command = Lazy(
    "key",
    commands_in="cli.service.key",
    modules={"add": "add", "ls": "ls", "rm": "rm"},
    help="""Keys of an account, of the service whose state you can read. It may run meanwhile; what you change holds
    at once: the next request signed by a key that was removed is refused, and so is one with a token or a presigned
    URL that came from it.

    \b
    Examples:
      remora key add jill ~/.ssh/id_ed25519.pub
      remora key ls jill
      remora key rm jill SHA256:AAAA…

    Exit status: 0, or 1 if something is wrong.
    """,
)
