"""A cluster of three nodes on one machine, for development and for fault runs. Needs root.

    python -m tests.cluster up [--bare] [--no-acl]     start it: Nomad, PostgreSQL, and Remora on them
                            [--containers] [--tls]     … with containers as instances; Nomad by mutual TLS
    python -m tests.cluster status                     what runs where
    python -m tests.cluster run COMMAND ...            run a command that reaches it: mls, mjob, nomad, remora cluster
    python -m tests.cluster down                       end it and remove all that it left

Nothing of it is on the host's network. `--dir DIR` (before the word) keeps several clusters apart.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.cluster import cluster as clusters
from tests.cluster import remora
from tests.cluster.machines import ClusterError, command, cut, is_cut, mend


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=clusters.DEFAULT, help="its directory (default: %(default)s)")
    words = parser.add_subparsers(dest="word", required=True)
    up = words.add_parser("up", help="start it")
    up.add_argument("--bare", action="store_true", help="without Nomad: Remora's processes are started directly")
    up.add_argument("--no-acl", action="store_true", help="Nomad asks nobody for a token")
    up.add_argument("--tls", action="store_true", help="Nomad speaks TLS only, and asks for certificates")
    up.add_argument("--containers", action="store_true", help="instances are containers")
    up.add_argument("--engines", action="store_true", help="only PostgreSQL and Nomad, nothing of Remora")
    down = words.add_parser("down", help="end it and remove all that it left")
    down.add_argument("--keep", action="store_true", help="leave its directory there, with the logs")
    words.add_parser("status", help="what runs where")
    run = words.add_parser("run", help="run a command on the hub")
    run.add_argument("argv", nargs=argparse.REMAINDER)
    for word in ("cut", "mend"):
        words.add_parser(word, help=f"{word} the cable of a node").add_argument("node", choices=clusters.NODES)
    return parser.parse_args(arguments)


def status(cluster: clusters.Cluster) -> None:
    for machine in cluster.machines.values():
        state = (
            "off" if not machine.alive() else "cut" if machine.name != "hub" and is_cut(cluster.hub, machine) else "on"
        )
        print(f"{machine.name}  {machine.address}  {state}")
        for pid in machine.pids() if machine.alive() else []:
            print(f"    {pid}  {command(pid)[:100]}")


def main() -> int:
    options = parse(sys.argv[1:])
    directory = options.dir.absolute()
    try:
        if options.word == "up":
            provider = "containerd" if options.containers else "process"
            cluster = clusters.Cluster(
                directory, nomad=not options.bare, acl=not options.no_acl, tls_nomad=options.tls, provider=provider
            )
            clusters.up(cluster, say)
            if not options.engines:
                remora.start(cluster, say)
        elif options.word == "down":
            clusters.down(directory, options.keep)
        else:
            cluster = clusters.load(directory)
            if options.word == "status":
                status(cluster)
            elif options.word == "run":
                return clusters.run(cluster, options.argv)
            else:
                {"cut": cut, "mend": mend}[options.word](cluster.hub, cluster.machines[options.node])
    except ClusterError as error:
        say(f"tests.cluster: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
