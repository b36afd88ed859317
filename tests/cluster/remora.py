"""Remora on the development cluster: by `remora cluster deploy`, or, in a bare one, as processes that we start."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable

from tests.cluster import certificates, database
from tests.cluster.cluster import ROOT, Cluster, environment
from tests.cluster.machines import ClusterError, Machine, wait_until

BIN = ROOT / ".venv" / "bin"
GATEWAY_PORT, SUPERVISOR_PORT, AGENT_PORT = 8080, 8090, 8095
LOGIN = "jill"
UP_SECONDS = 60.0
# Where the parts of a bare cluster are: supervisors on the hub, so that a node's end is only an agent's.
SUPERVISORS = ("supervisor-1", "supervisor-2")
Say = Callable[[str], None]


def keys(cluster: Cluster) -> dict[str, str]:
    """The secrets of a bare cluster, made at first use."""
    file = cluster.directory / "secrets.json"
    if not file.exists():
        file.touch(0o600)
        file.write_text(json.dumps({name: secrets.token_hex(16) for name in ("token", "agent")}))
    kept: dict[str, str] = json.loads(file.read_text())
    return kept


def shared(cluster: Cluster, port: int, machine: Machine) -> dict[str, str]:
    """What a gateway or a supervisor is told."""
    kept = keys(cluster)
    return {
        "REMORA_DATABASE": database.database_url(),
        "REMORA_OBJECTS": str(cluster.objects),
        "REMORA_LISTEN": f"{machine.address}:{port}",
        "REMORA_TOKEN_SECRET": kept["token"],
        "REMORA_AGENT_KEY": kept["agent"],
        **certificates.environment(cluster.tls),
    }


def start_gateway(cluster: Cluster) -> None:
    cluster.hub.start("gateway", [str(BIN / "remora"), "gateway"], shared(cluster, GATEWAY_PORT, cluster.hub))


def start_supervisor(cluster: Cluster, name: str) -> None:
    port = SUPERVISOR_PORT + SUPERVISORS.index(name)
    cluster.hub.start(name, [str(BIN / "remora"), "supervisor"], shared(cluster, port, cluster.hub))


def start_agent(cluster: Cluster, node: Machine) -> None:
    told = {
        "REMORA_URL": gateway_url(cluster),
        "REMORA_NODE": node.name,
        "REMORA_LISTEN": f"{node.address}:{AGENT_PORT}",
        "REMORA_OBJECTS": str(cluster.objects),
        "REMORA_STATE_DIR": str(cluster.local / "remora"),
        "REMORA_CREDENTIAL_FILE": str(cluster.credential),
        "REMORA_SLOTS": "2",
        "REMORA_PROVIDER": cluster.provider,
        **certificates.environment(cluster.tls),
    }
    node.start("agent", [str(BIN / "remora"), "agent"], told)


def give_credential(cluster: Cluster, node: Machine, *more: str) -> None:
    """Write a node's credential where its agent reads it; `more` are options of the command that makes it."""
    told = operate(cluster, "cluster", "credential", node.name, *more)
    certificates.authority.write(node.local / cluster.credential.name, told.encode(), 0o600)


def operate(cluster: Cluster, *words: str) -> str:
    """An operator's command, on the hub; what it printed. Raises `ClusterError`."""
    told = environment(cluster) | ({} if cluster.nomad else {"REMORA_AGENT_KEY": keys(cluster)["agent"]})
    return cluster.hub.call(str(BIN / "remora"), *words, env=told)


def start_bare(cluster: Cluster, say: Say) -> None:
    say("a gateway, two supervisors, three agents")
    start_gateway(cluster)
    wait_for(cluster, gateway_url(cluster), cluster.hub, "gateway")
    for name in SUPERVISORS:
        start_supervisor(cluster, name)
    for number, name in enumerate(SUPERVISORS):
        wait_for(cluster, f"https://{cluster.hub.address}:{SUPERVISOR_PORT + number}", cluster.hub, name)
    for node in cluster.nodes:
        give_credential(cluster, node)
        start_agent(cluster, node)


def wait_for(cluster: Cluster, url: str, machine: Machine, name: str) -> None:
    """Until it says that it is well. Raises `ClusterError` with the end of its log."""
    if not wait_until(lambda: healthy(cluster, url), UP_SECONDS, 0.2):
        tail = machine.log(name).read_text(errors="replace")[-1500:]
        raise ClusterError(f"{name} does not come up: {tail}")


def healthy(cluster: Cluster, url: str) -> bool:
    """Asked from the hub, whose network it is on."""
    ask = ["curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}"]
    ask += ["--cacert", str(cluster.authority / "ca.pem"), f"{url}/healthz"]
    return cluster.hub.call(*ask, check=False) == "200"


def gateway_url(cluster: Cluster) -> str:
    """Of a bare cluster."""
    return f"https://{cluster.hub.address}:{GATEWAY_PORT}"


def deploy(cluster: Cluster, say: Say) -> None:
    """All by the operator's own command. Raises `ClusterError`."""
    site = cluster.directory / "site.hcl"
    chosen = {
        "bin": str(BIN), "objects": str(cluster.objects), "state_dir": str(cluster.local / "remora"),
        "provider": cluster.provider, "gateways": len(cluster.nodes),
        "tls": str(cluster.tls), "database_ca": str(cluster.tls / "ca.pem"),
        "credential": str(cluster.credential),
    }  # fmt: skip
    site.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in chosen.items()))
    cluster.scheduler.call("operator", "scheduler", "set-config", "-memory-oversubscription=true")
    say("remora cluster deploy")
    command = ["remora", "cluster", "deploy", f"--var-file={site}", "--json"]
    for jobs in (["supervisor", "gateway"], ["agent"]):
        done = subprocess.run(
            cluster.hub.inside(*command, *jobs), env=with_database(cluster), stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise ClusterError("the deployment failed")
        if jobs != ["agent"]:  # there is a key now, of which credentials are made
            for node in cluster.nodes:
                give_credential(cluster, node)
    cluster.gateways = json.loads(done.stdout)["gateways"]


def with_database(cluster: Cluster) -> dict[str, str]:
    return environment(cluster) | {"REMORA_DATABASE": database.database_url()}


def add_account(cluster: Cluster) -> None:
    """An account with a key of its own, and the profile that commands find it by (see `cluster.environment`)."""
    key = cluster.directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", LOGIN, "-f", str(key)], check=True)
    add = ["user", "add", LOGIN, f"--key={key}.pub"]
    fingerprint = cluster.hub.call(str(BIN / "remora"), *add, env=with_database(cluster)).strip()
    profile = {"url": cluster.gateways[0], "user": LOGIN, "key_id": fingerprint, "key_file": str(key)}
    (cluster.directory / "client.json").write_text(json.dumps(profile))


def start(cluster: Cluster, say: Say) -> None:
    """Everything of ours, on engines that are up."""
    if cluster.nomad:
        deploy(cluster, say)
    else:
        start_bare(cluster, say)
        cluster.gateways = [gateway_url(cluster)]
    add_account(cluster)
    cluster.save()
    say(f"up: {' '.join(cluster.gateways)}")
