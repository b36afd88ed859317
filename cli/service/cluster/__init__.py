"""remora cluster: the service on a Nomad cluster."""

from __future__ import annotations

from cli.frame import Lazy

command = Lazy(
    "cluster",
    commands_in="cli.service.cluster",
    modules={
        "render": "render",
        "plan": "plan",
        "deploy": "deploy",
        "status": "status",
        "drain": "drain",
        "credential": "credential",
        "rotate-key": "rotate_key",
        "ca": "ca",
    },
    help="""The service on a cluster: gateways, supervisors and agents as Nomad's jobs, records in PostgreSQL.

    Nomad is found as by its own command: NOMAD_ADDR, NOMAD_TOKEN, NOMAD_NAMESPACE, NOMAD_REGION, NOMAD_CACERT and so
    on. What can be chosen is in a file of variables; `remora cluster render --variables` prints one with what holds
    by itself.

    \b
    Examples:
      remora cluster plan --var-file site.hcl
      remora cluster deploy --var-file site.hcl --database postgresql://remora@db.example/remora
      remora cluster status

    Exit status: 0, or 1 if something is wrong.
    """,
)
