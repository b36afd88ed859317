"""Scripts that mean harm. Each ends with the documented error, or harmlessly, and harms nobody else.

All attacks are jobs of one service, several at a time, while another user's tasks come and go
beside them. The tests look at what became of it all. A script says BREACH where it got what it
should not have; otherwise it is silent.
"""

from __future__ import annotations

import shlex
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.support.gate import Gate
from tests.support.leftovers import assert_nothing_left
from tests.support.machine import needs_namespaces
from tests.support.nodes.caps import of_memory, out_of_disk, out_of_memory
from tests.support.nodes.containers import CONTAINERD, assert_no_container_left, needs_containers
from tests.support.nodes.traces import assert_traces, traces
from tests.support.services.neighbour import neighbour
from tests.support.services.objects import client
from tests.support.services.service import Service
from tests.support.services.user import Ended, User

pytestmark = needs_containers  # the attacks on processes go with them: a fork bomb takes its time

PATIENCE = 300.0  # gigabytes are written, and other tests of the machine may write too
AT_ONCE = 4
SLOTS = AT_ONCE + 2
OK = "ok"
MEMORY = out_of_memory(128, 256)
DISK = out_of_disk(2, 4)
CORE = "user command or child process dumped core"
KILLED = "user command terminated by SIGKILL"
BOTH = ("process", CONTAINERD)
# Elsewhere than where every machine has thousands of files.
FIND = r"find / -xdev \( -path /usr -o -path /proc -o -path /sys \) -prune -o"


# The lines of the table are as long as an attack is.
# ruff: noqa: E501


@dataclass(frozen=True)
class Attack:
    script: str
    ends: tuple[str, ...] = (OK,)  # with one of these messages
    memory: int = 128
    disk: int = 2
    tasks: int = 1
    providers: tuple[str, ...] = BOTH


def tries(*commands: str) -> str:
    """None of these commands may succeed."""
    return (
        "".join(f"({command}) > /dev/null 2>&1 && echo 'BREACH: {number}'\n" for number, command in enumerate(commands))
        + "true"
    )


def allocate(descriptor: int, mode: int, size: str = "100 << 20") -> str:
    """fallocate(2) at the end of an open file."""
    end = "(stat FILE)[7]"
    return f"perl -e 'open(FILE, \">&={descriptor}\"); exit(syscall(285, {descriptor}, {mode}, {end}, {size}) < 0)'"


def hold(mebibytes: int) -> str:
    return f"perl -e '$n = {mebibytes} << 20; $x = \"a\" x $n'"


def tree(*branches: int) -> str:
    """Daemons that start daemons, each in a session of its own, so many at each level; the last ones sleep."""
    script = "exec sleep 1000"
    for count in reversed(branches):
        script = f"for i in {{1..{count}}}; do setsid bash -c {shlex.quote(script)} & done; wait"
    return script.removesuffix("; wait")


ATTACKS = {
    # Memory.
    "a fork bomb": Attack("b() { b | b & }; b; while ((SECONDS < 2)); do :; done", (OK, MEMORY, KILLED)),
    "10 GB, hidden": Attack(f"{hold(10240)}; true", (MEMORY,)),
    "10 GB": Attack(hold(10240), (MEMORY,)),
    "10 GB, half hidden": Attack(
        f"{hold(10240)} | cat; exit 3", (f"user command exited with code 3 (WARNING: ran out of memory during execution){of_memory(128, 256)}",)
    ),
    "shared memory": Attack("cat /dev/zero > /dev/shm/x", ("user command exited with code 1", MEMORY)),
    "1,000 daemons": Attack("for i in $(seq 1000); do setsid sleep 1000 & done", memory=1024),
    "a tree of 1,110 daemons": Attack(tree(10, 10, 10), memory=2048),
    # Disk.
    "10 GB of stdout": Attack("head -c 10G /dev/zero", (DISK,)),
    "stderr": Attack(f"while {allocate(2, 0)}; do :; done; exit 1", (DISK,)),
    "files": Attack("while fallocate -l 100M /var/tmp/$((++i)); do :; done; exit 1", (DISK,), providers=(CONTAINERD,)),
    "empty files": Attack("while : > /var/tmp/$((++i)); do :; done; exit 1", (DISK,), providers=(CONTAINERD,)),
    "stdout with a hole": Attack("x=ev; truncate -s 10G /d$x/stdout", (DISK,)),
    "blocks that no size tells of": Attack(
        "exec 8>&1\n" + tries(allocate(8, 0x01, "20 << 30"), allocate(8, 0x11, "20 << 30")), providers=(CONTAINERD,)
    ),
    "a core of 1 GB": Attack(
        "cd /tmp; ulimit -c unlimited; perl -e 'vec($x, 1 << 30, 8) = 1; kill SEGV => $$'", (CORE,), memory=4096, disk=8
    ),
    # What others have.
    "its own input": Attack(
        tries('echo > "$MANTA_INPUT_FILE"', 'rm -f "$MANTA_INPUT_FILE"', 'chmod 777 "$MANTA_INPUT_FILE"', "touch /manta/x",
              "echo > /proc/$$/fd/0", 'mount -o remount,rw /manta', "umount /manta", 'ln "$MANTA_INPUT_FILE" /manta/y',
              'truncate -s 0 "$MANTA_INPUT_FILE"', 'touch "$MANTA_INPUT_FILE"')
    ),
    "another's files": Attack(
        tries(f"{FIND} -name bobs-own -print | grep .", "cat /proc/[0-9]*/root/tmp/bobs-own | grep .", "ls @STATE@/instances | grep .",
              "ls /run/remora | grep .", "ls /run/containerd | grep .")
    ),
    "another's socket": Attack(
        tries(f"{FIND} -type s -print | grep -v '^/.remora/agent.sock$'", "rm -f /.remora/agent.sock", "mv /.remora/agent.sock /tmp")
    ),
    "another's door": Attack(
        "exec 3<> /dev/tcp/127.0.0.1/@PORT@; printf 'GET /bob/stor/bobs-own HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3;"
        " read -r _ status _ <&3; [ $status = 403 ] || echo BREACH $status"
    ),
    "another's processes": Attack(tries("ps -ef | grep '[n]eighbour'", "grep -l '[n]eighbour' /proc/[0-9]*/cmdline", "kill -9 @PIDS@")),
    "another's control group": Attack(
        tries("ls -d /sys/fs/cgroup/*/remora", "echo -1 > /sys/fs/cgroup/memory/memory.limit_in_bytes", "mkdir /sys/fs/cgroup/memory/x",
              "echo $$ > /sys/fs/cgroup/memory/cgroup.procs", "echo max > /sys/fs/cgroup/memory.max", "ls -d /sys/fs/cgroup/*/../../*/remora"),
        providers=(CONTAINERD,),
    ),
    # The kernel.
    "mount": Attack(
        tries("mount -t tmpfs none /mnt", "mount --bind / /mnt", "mount -t proc proc /mnt", "mount -o remount,rw /usr", "umount /usr",
              "unshare --mount true", "unshare --user --mount true", "nsenter -t 1 -m true")
    ),
    "ptrace": Attack(
        tries("perl -e 'exit(syscall(101, 16, 1, 0, 0) < 0)'", "head -c 1 /proc/1/mem", "ls /proc/1/fd/* | grep /", "cat /proc/1/environ | grep .",
              "ls /proc/1/root/", "ls /proc/1/cwd/")
    ),
    "/proc/sys": Attack(
        tries("echo 1 > /proc/sys/kernel/printk", "echo /tmp/x > /proc/sys/kernel/core_pattern", "echo 0 > /proc/sys/vm/overcommit_memory",
              "echo b > /proc/sysrq-trigger", "hostname elsewhere", "echo 1 > /proc/sys/kernel/hostname", "date -s 2001-01-01")
    ),
    "device nodes": Attack(
        tries("mknod /tmp/sda b 8 0", "mknod /tmp/mem c 1 1", "mknod /dev/loop0 b 7 0", "ls /dev/loop* /dev/[svn]d* /dev/vda", "head -c 1 /dev/mem",
              "losetup -f")
    ),
    "raw sockets": Attack(
        tries("perl -MSocket -e 'socket(my $s, AF_INET, SOCK_RAW, 1) or exit 1'", "perl -e 'socket(my $s, 17, 3, 0) or exit 1'")
    ),
    "odd sockets": Attack(
        tries("perl -e 'socket(my $s, 40, 1, 0) or exit 1'", "perl -e 'socket(my $s, 38, 5, 0) or exit 1'"), providers=(CONTAINERD,)
    ),
    "kernel log": Attack(tries("dmesg", "head -1 /dev/kmsg", "head -c 1 /proc/kmsg", "perl -e 'exit(syscall(103, 10, 0, 0) < 0)'")),
    "keys and filters": Attack(
        tries("perl -e 'exit(syscall(321, 0, 0, 0) < 0)'", "perl -e 'exit(syscall(250, 0, -3, 1) < 0)'", "perl -e 'exit(syscall(425, 1, 0) < 0)'"),
        providers=(CONTAINERD,),
    ),
    "setuid programs": Attack(
        "cp /usr/bin/grep /tmp/grep; chmod 6755 /tmp/grep\n"
        + tries('[ "$(/tmp/grep Cap /proc/self/status)" != "$(grep Cap /proc/self/status)" ]', "[ $(/tmp/grep -c 'NoNewPrivs:.1' /proc/self/status) = 0 ]",
                "su -c true nobody", "mount /tmp")
    ),
    # Its own keepers.
    "links for the agent": Attack(
        "rm -rf /assets; ln -s /etc /assets; ln -s /etc/passwd /core; ln /etc/passwd /tmp/core; ln -s /etc/passwd /.core.1; ln -s / /tmp/away\n"
        "cd /tmp/away; ulimit -c unlimited; sh -c 'kill -SEGV $$'; while :; do sleep 1; done",
        (CORE,),
    ),
    "a pipe for the agent": Attack("mkfifo /core /tmp/core /core.1; mkdir /.core.1; cd /tmp; (kill -SEGV $BASHPID); exit 3",
                                   ("user command exited with code 3", CORE)),
    "kill -9 -1": Attack("(kill -9 -1); sleep 1000", (KILLED,)),
    "process 1": Attack(tries("! kill -STOP 1", "! kill -KILL 1", "! kill -TERM 1", "! kill -CHLD 1")),
    "process 1's limits": Attack(
        "perl -e 'syscall(302, 1, 7, pack(q(QQ), 1, 1), 0)'; echo 1000 > /proc/1/oom_score_adj; renice 19 1 > /dev/null; true", tasks=3
    ),
    "process 1, by memory": Attack(f"echo 1000 > /proc/1/oom_score_adj; {hold(1024)}", (MEMORY,)),
    "closed descriptors": Attack("exec 0<&- 1>&- 2>&-; exit 5", ("user command exited with code 5",)),
    "the agent's descriptors": Attack(
        "exec 2> /dev/null; for i in $(seq 30); do timeout 4 perl -MIO::Socket -e '($p) = $ENV{MANTA_URL} =~ /:(\\d+)/;"
        " while (@s < 900) { push @s, IO::Socket::INET->new(PeerAddr => \"127.0.0.1:$p\") } sleep 9' & done; wait", memory=1024
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What an attacker got: how the job ended, what its tasks said, and its core file's beginning and size."""

    ended: Ended
    said: list[str]
    core: bytes = b""
    core_size: int = 0


@dataclass
class Aftermath:
    """What became of the attacks, and of the neighbour who lived beside them."""

    seen: dict[str, Future[Seen]] = field(default_factory=dict)
    neighbour: Ended | None = None
    rounds: int = 0  # tasks of the neighbour's that began and ended during the attacks


def commit(attack: Attack, user: User, places: dict[str, str], inputs: list[str]) -> Seen:
    script = attack.script
    for place, value in places.items():
        script = script.replace(place, value)
    ended = user.run({"exec": script, "memory": attack.memory, "disk": attack.disk}, inputs=inputs[: attack.tasks])
    said = user.texts(ended)
    cores = [error["core"] for error in ended.errors if "core" in error]
    if not cores:
        return Seen(ended, said)
    size = int(user.session.call("HEAD", cores[0]).headers["content-length"])
    return Seen(ended, said, user.session.call("GET", cores[0], headers={"range": "bytes=0-4095"}).content, size)


def live_beside(user: User, over: threading.Event, after: Aftermath) -> None:
    """One short task after another, each waited for, until the attacks are over."""
    job, item = user.create("cat"), user.put("short", b"fine\n")
    while not over.is_set():
        user.add(job, item)
        after.rounds += 1
        user.wait(job, lambda status: status["stats"]["tasksDone"] == after.rounds)
    after.neighbour = user.finish(job)


@pytest.fixture(
    scope="module",
    params=[pytest.param("process", marks=needs_namespaces), CONTAINERD],
)
def provider(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def aftermath(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    options = ("--provider", provider, "--slots", str(SLOTS), "--prepared", "0")
    service = Service(tmp_path_factory.mktemp(provider) / "state", options).start()
    try:
        with client(service) as session, neighbour(service) as bob, Gate() as gate:
            after, before, user = Aftermath(), traces(service.state_dir), User(session)
            user.patience = bob.patience = PATIENCE
            attack_all(service, provider, user, bob, gate, after)
            assert_traces(service.state_dir, before)
            yield after
    finally:
        status = service.stop()
    assert status == 0, service.log.read_text()[-3000:]
    assert_nothing_left(service.state_dir)
    assert_no_container_left(service.state_dir)
    shutil.rmtree(service.state_dir)  # gigabytes


def attack_all(service: Service, provider: str, user: User, bob: User, gate: Gate, after: Aftermath) -> None:
    """Both users' jobs, from the first to the last."""
    private = bob.put("bobs-own", b"private")
    victim = bob.create(f"echo private > /tmp/bobs-own; exec -a neighbour bash -c '{gate.wait('$MANTA_URL')}'")
    bob.add(victim, private)
    (door,) = gate.arrivals(1)
    assert service.process is not None
    places = {
        "@STATE@": str(service.state_dir),
        "@PORT@": door.rpartition(":")[2].strip("/"),
        "@PIDS@": str(service.process.pid),
    }
    inputs = [user.put(f"input{number}", b"good\n") for number in range(3)]
    over = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as attackers, ThreadPoolExecutor(1) as beside:
        living = beside.submit(live_beside, bob, over, after)
        try:
            for name, attack in ATTACKS.items():
                if provider in attack.providers:
                    after.seen[name] = attackers.submit(commit, attack, user, places, inputs)
            for name, seen in after.seen.items():
                assert seen.exception() is None, (name, seen.exception())
        finally:
            over.set()
        living.result()
    gate.open()
    assert bob.finish(victim).errors == []
    assert [user.get(name) for name in inputs] == [b"good\n"] * 3


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_as_documented_or_harmlessly(aftermath: Aftermath, provider: str, name: str) -> None:
    attack = ATTACKS[name]
    assert (name in aftermath.seen) == (provider in attack.providers)
    if provider in attack.providers:
        seen = aftermath.seen[name].result()
        assert ({error["message"] for error in seen.ended.errors} or {OK}) <= set(attack.ends)
        assert [text for text in seen.said if text] == []


def test_a_core_is_the_tasks_own_and_whole(aftermath: Aftermath) -> None:
    big, linked = (aftermath.seen[name].result() for name in ("a core of 1 GB", "links for the agent"))
    assert (big.core[:4], big.core_size > 1 << 30) == (b"\x7fELF", True)
    assert linked.core[:4] in (b"", b"\x7fELF")


def test_a_neighbour_lives_on_undisturbed(aftermath: Aftermath) -> None:
    ended = aftermath.neighbour
    assert ended is not None and aftermath.rounds > 0
    assert (ended.errors, ended.stats["retries"], len(ended.outputs)) == ([], 0, aftermath.rounds)
