"""docs/cluster.md, followed: on a Nomad with TLS and ACLs, in a namespace of its own, with containers as instances.

    python -m tests.cluster.follow [--dir DIR] [--keep]

Machines, PostgreSQL and Nomad are the development cluster's; all that the page says an operator types is typed, with
this machine's places in place of the page's. Each command must end well, and print the lines that the page shows, in
this order; numbers, ids and times may differ. Two things are the script's own: keys and texts that the page takes for
granted, and the machines that `ssh` and `scp` reach. Blocks that are not typed are told, and why (`SKIPPED`).

Exit status 0 if all of the page is so; 0 and a loud word without a program nomad.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cluster import cluster as clusters
from tests.cluster import database, remora
from tests.cluster.cluster import ROOT, Cluster, environment
from tests.cluster.machines import NODES, ClusterError, wait_until
from tests.cluster.nomads import program
from tests.support.examples import blocks, shown

PAGE = ROOT / "docs" / "cluster.md"
DIRECTORY = Path("/tmp/remora-follow")
N9, N9_ADDRESS = "n9", "10.213.0.19"
TLS = "/etc/remora/tls"
# What in a block tells that it is not typed here, and why.
SKIPPED = {
    "users                  ": "a picture",
    "pip install": "the programs are those of this checkout",
    "nomad job status remora.": "a job must be running",
    "python -m tests.cluster up": "it is up",
}
# Lines of what the page shows that depend on which jobs run.
PASSING = re.compile(r"[0-9a-f]{8}-|job  |\d  +https://|n\d: \d")
SECONDS = 300.0


class Operator:
    """Types commands on the hub, in a directory of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.home = cluster.directory / "operator"
        self.home.mkdir()
        self.exports: list[str] = []
        self.places = {
            "postgresql://remora:PASSWORD@db.example/remora": database.database_url(),
            TLS: str(cluster.local / "etc"),
            "/mnt/shared/remora": str(cluster.objects),
            "/nvme/remora": str(cluster.local / "remora"),
            "REMORA_CA_FILE=ca.pem": f"REMORA_CA_FILE={self.home}/authority/ca.pem",
        }

    def here(self, command: str) -> str:
        for place, ours in self.places.items():
            command = command.replace(place, ours)
        return command

    def type(self, command: str) -> str:
        """Run a command as the page has it; all that it printed. Raises AssertionError if it does not end well."""
        print(f"$ {command}", flush=True)
        command = self.here(command)
        words = command.split()
        if words[0] == "export":
            self.exports.append(command)
            return ""
        if words[0] in ("ssh", "scp"):
            self.reach(words)
            return ""
        script = "\n".join(["set -o pipefail", *self.exports, command])
        done = subprocess.run(
            self.cluster.hub.inside("env", "-C", str(self.home), "bash", "-c", script),
            env=environment(self.cluster) | {"PGSSLROOTCERT": str(self.cluster.authority / "ca.pem")},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS,
        )  # fmt: skip
        print(done.stdout, end="", flush=True)
        good = (0, 2) if "cluster plan" in command else (0,)
        assert done.returncode in good, f"exit status {done.returncode} of {command}"
        return done.stdout

    def reach(self, words: list[str]) -> None:
        """What `ssh` and `scp` do to n1, done to every node of Nomad's."""
        for name in NODES:
            told = [word.replace("n1", name, 1) for word in words[1:]]
            if words[0] == "ssh":
                self.cluster.machines[name].call(*told[1:])
            else:
                *sources, target = told
                place = self.cluster.machines[name].local / Path(target.partition(":")[2]).relative_to(
                    self.cluster.local
                )
                for source in [file for pattern in sources for file in self.home.glob(pattern)]:
                    shutil.copy(source, place)

    def expect(self, wanted: str, said: str) -> None:
        """The lines that the page shows come in this order, but for those that depend on jobs."""
        rest = said
        for line in wanted.splitlines():
            if line.strip() and not PASSING.match(line):
                found = re.search(likeness(self.here(line)), rest, re.MULTILINE)
                assert found, f"the page shows\n{line}\nand what came was\n{said}"
                rest = rest[found.end() :]


def likeness(line: str) -> str:
    """A pattern for a line whose numbers, ids and times may differ."""
    found = re.sub(r"[0-9a-f]{8}(\\-[0-9a-f]{4}){3}\\-[0-9a-f]{12}", "[0-9a-f-]{36}", re.escape(line))
    found = re.sub(r"\d{4}\\-\d\d\\-\d\dT[\d:]+Z", r"[0-9TZ:-]+", found)
    found = re.sub(r"(?<![\w.])\d+(?:\\\.\d+)? s ago", r"[0-9.]+ s ago", found.replace("\\ ", " "))
    found = re.sub(r"(?<![\w.:/])\d+(?= (?:tasks|instances|intermediates))", r"\\d+", found)
    return "^" + re.sub(r" +", r" +", re.sub(r" +\d+$", "", found)) + r"(?: +\d+)? *$"


def follow(operator: Operator) -> None:
    for block in blocks(PAGE):
        if why := next((why for mark, why in SKIPPED.items() if mark in block), None):
            print(f"--- left out ({why}): {block.strip().splitlines()[0]}")
        elif 'objects     = "' in block:
            choose(operator, block)
        elif "remora agent --node" in block:
            start_n9(operator, block)
        elif shows := shown(block):
            for one in shows:
                operator.expect(one.output, operator.type(one.command))
        else:
            for command in whole(block):
                prepare(operator, command)
                said = operator.type(command)
                if "remora user add" in command:
                    operator.places["a9:0f:…"] = said.split()[-1]


def whole(block: str) -> list[str]:
    """The commands of a block; a loop, and a line that a backslash ends, are one."""
    found: list[str] = []
    for line in block.replace("\\\n", " ").splitlines():
        if found and found[-1].startswith("for ") and not found[-1].endswith("done"):
            found[-1] += f"\n{line}"
        elif line.strip():
            found.append(line)
    return found


def prepare(operator: Operator, command: str) -> None:
    """What the page takes for granted before a command."""
    if "user add" in command:
        key = operator.home / ".ssh" / "jill"
        key.parent.mkdir(mode=0o700)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "jill", "-f", str(key)], check=True)
        shutil.copy(f"{key}.pub", operator.home)
        (operator.home / "letters.txt").write_text("the\n" * 34 + "and\n" * 27 + "bird\n")
        operator.exports.append(f"export HOME={operator.home}")


def choose(operator: Operator, block: str) -> None:
    """The lines of site.hcl that the page keeps, and those that are so only here."""
    ours = {"bin": str(ROOT / ".venv" / "bin"), "tls": operator.here(TLS)}
    lines = [operator.here(line) for line in block.splitlines() if not line.startswith("database_ca")]
    ours["database_ca"] = str(operator.cluster.tls / "ca.pem")
    (operator.home / "site.hcl").write_text(
        "\n".join([*lines, *(f'{name} = "{value}"' for name, value in ours.items())])
    )
    print((operator.home / "site.hcl").read_text())


def start_n9(operator: Operator, block: str) -> None:
    """A node without Nomad, on the hub: an address of its own, a certificate, and the two commands of the page."""
    hub = operator.cluster.hub
    hub.call("ip", "address", "add", f"{N9_ADDRESS}/24", "dev", "br0")
    operator.type(f"remora cluster ca issue authority {N9}={N9_ADDRESS}")
    shutil.copytree(operator.home / "authority" / "nodes" / N9, hub.local / "etc")
    credential, agent = whole(block)
    operator.type(credential)
    print(f"$ {agent}")
    words = operator.here(agent.replace("n9.credential", str(operator.home / "n9.credential"))).split()
    hub.start("n9", [str(remora.BIN / words[0]), *words[1:]])
    status = "remora cluster status"
    assert wait_until(lambda: re.search(r"n9 +- +- +runs", operator.type(status)), 60, 2), "n9 does not come"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=DIRECTORY)
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    options = parser.parse_args()
    if program() is None:
        print("SKIPPED: NO PROGRAM nomad ON PATH: docs/cluster.md WAS NOT FOLLOWED", file=sys.stderr)
        return 0
    cluster = Cluster(options.dir.absolute(), tls_nomad=True, provider="containerd")
    try:
        clusters.up(cluster, lambda told: print(f"({told})", flush=True))
        follow(Operator(cluster))
    except (AssertionError, ClusterError, subprocess.TimeoutExpired) as wrong:
        print(f"not so: {wrong}", file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            clusters.down(cluster.directory)
    print("all of docs/cluster.md is so")
    return 0


if __name__ == "__main__":
    sys.exit(main())
