"""remora cluster ca: a small authority, and the certificates of nodes."""

from __future__ import annotations

from cli.frame import Lazy

command = Lazy(
    "ca",
    commands_in="cli.service.cluster.ca",
    modules={"init": "init", "issue": "issue"},
    help="""A certificate authority of the cluster's own, in a directory of the operator's.

    Nodes prove themselves to each other with what it issues. Certificates of any other authority do as well.

    \b
    Examples:
      remora cluster ca init authority
      remora cluster ca issue authority n1=10.0.0.1 n2=10.0.0.2

    Exit status: 0, or 1 if something is wrong.
    """,
)
