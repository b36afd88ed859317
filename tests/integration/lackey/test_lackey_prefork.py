"""A bash that waits for tasks: a task cannot tell that its bash had been started before, and none can harm another."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapath.passing import DoneFlag, Kind
from tests.support.nodes.lackey_instance import (
    NAMESPACES,
    Mode,
    Outcome,
    needs_core_files,
    processes_with,
    skip_if_refused,
    unique_seconds,
)
from tests.support.nodes.preforked import TASKS, Preforked, tools_in

LINES = b"one two\nthree\n\n four\\five\n"
SCRIPTS = [
    'wc "$@"',
    "cat; echo $?",
    "grep -c e | sort -r",
    'read -r a b; echo "<$a> <$b>"; cat',
    'while IFS= read -r line; do echo "[$line]"; done',
    'mapfile -t lines; echo ${#lines[@]} "${lines[3]}"',
    "head -c 3; echo; cat",
    "sort | uniq -c | while read n word; do echo $word; done",
    # What bash knows of itself.
    "declare -p | grep -vE ' (BASHPID|PPID|RANDOM|SRANDOM|EPOCH[A-Z]*|BASH_ARGC|PIPESTATUS|NEEDS_BASH)='",
    "set | grep -vE '^(BASHPID|PPID|RANDOM|SRANDOM|EPOCH[A-Z]*|BASH_ARGC|PIPESTATUS|NEEDS_BASH)='",
    "echo $_",
    'echo $- $0 $# "$*" $? $! $BASH_SUBSHELL $SHLVL $PPID $LINENO $SECONDS',
    'echo "$BASH_EXECUTION_STRING" "${BASH_SOURCE[@]}" "${FUNCNAME[@]}" ${#BASH_LINENO[@]} ${#DIRSTACK[@]}',
    "[ $$ = $BASHPID ] && [ $$ = $(sh -c 'echo $PPID') ] && [ $$ = $(cut -d' ' -f5 /proc/$$/stat) ] && echo yes",
    "cut -d' ' -f2,4-8 /proc/$$/stat | sed \"s/\\<$$\\>/own/g\"",
    "env; :",
    "env | sort",
    "export -p | grep -v NEEDS_BASH; readonly -p",
    "declare -F; alias; trap -p; jobs; hash; dirs; history; times > /dev/null",
    "enable -p; enable -n; enable -s",
    "compgen -b; compgen -v | grep -vE 'NEEDS_BASH|PIPESTATUS'; compgen -A function",
    "type prefork; help prefork | cat; prefork",
    "shopt; set -o",
    "ulimit -a; ulimit -H -a; umask",
    "ls /proc/$$/fd; readlink /proc/$$/fd/255 /proc/$$/exe /proc/$$/cwd",
    "tr '\\0' ' ' < /proc/$$/cmdline; cat /proc/$$/comm",
    "while read -r name value; do case $name in Umask:|PPid:|[UG]id:|Groups:|Seccomp*|NoNewPrivs:|Cap*|Sig[BIC]*|Shd*) "
    "echo $name $value;; esac; done < /proc/$$/status",
    "grep -cE 'prefork' /proc/$$/maps",
    "cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj | cat",
    "tty; test -t 0 || test -t 1 || echo none",
    "echo ${BASH_ENV-unset} ${ENV-unset}; bash -c 'echo ${BASH_ENV-unset}'",
    ":; echo ${PIPESTATUS[@]}; false | true | false; echo ${PIPESTATUS[@]}",
    "printf '%(%Y)T %s\\n' -2 $((SECONDS < 5))",
    # Ends and complaints.
    "exit 3",
    "false",
    "(exit 7); (exit 8)",
    "nothing; echo $?",
    "'no'\"th\"$x'ing'",
    "./nothing; /; /etc/passwd",
    "if",
    "echo 'unmatched",
    "echo )",
    "cat << end\n$HOME $((1 + 2))\nend",
    "cat <<< here",
    "set -e; false; echo not",
    "set -u; echo $missing; echo not",
    "set -o pipefail; false | true; echo $?",
    "echo a; echo b >&2; return 4",
    "exec false; echo not",
    "exec nothing; echo not",
    "exec > /dev/null; echo not; echo err >&2",
    "exec 2>&1; nothing",
    "trap 'echo bye $?' EXIT; exit 5",
    "trap 'echo err $LINENO' ERR; false; true",
    "trap 'echo got' USR1; kill -USR1 $$; echo on",
    "trap '' PIPE; kill -PIPE $$; echo on",
    "kill -KILL $$",
    "kill -TERM $$; echo not",
    "kill -HUP $$; sleep 9",
    "kill -PIPE $$; sleep 9",
    "kill -USR1 $$; sleep 9",
    "kill -0 0 && echo group",
    "kill -0 $PPID 2>&1 | cat",
    "kill -TERM 0; sleep 9",
    "ulimit -t 1; ulimit -f 0; echo x > /tmp/file; echo $?",
    # The rest of the language.
    "f() { local a=$1; echo $a ${FUNCNAME[0]} $LINENO; caller 0; }; f x\nf y",
    "shopt -s extglob nullglob; echo /etc/pass@(wd|x) /no/*",
    "a=(x 'y z'); a[5]=q; echo ${!a[@]} \"${a[@]}\"; declare -A m=([k]=v); echo ${m[k]}; unset a; echo ${#a[@]}",
    "echo $((2 ** 10)) $((16#ff)) {1..5} {a,b}c ~ ${HOME^^} ${HOME:1:2} ${HOME//o/0}",
    "echo $(echo nested $(echo deep)) `echo ticks`; x=$(exit 3); echo $?",
    "[[ abc =~ ^a(.)c ]] && echo ${BASH_REMATCH[1]}",
    "for ((i = 0; i < 3; i++)); do echo -n $i; done; select x in a b; do echo $x; break; done < <(echo 2)",
    "case $HOME in /r*) echo root;;& *) echo any;; esac",
    "sleep 0 & wait $!; echo $?; wait; jobs -l",
    "true & wait -n; echo $?; (exit 3) & wait $!; echo $?",
    "set -m; sleep 0 & wait; echo $?; ps -o stat= 2> /dev/null | wc -l",
    'coproc cat; echo hi >&${COPROC[1]}; read x <&${COPROC[0]}; echo $x; eval "exec ${COPROC[1]}>&-"; wait',
    "cat <(echo one) <(echo two)",
    "cd /tmp; pwd; echo $PWD $OLDPWD; cd - > /dev/null; pwd; pushd /tmp; popd",
    "export X=1 MANTA_X=2; env | grep -E '^(MANTA_)?X='; unset X; bash -c 'echo ${X-none} $SHLVL'",
    "PATH=/no; wc; PATH=/usr/bin:/bin; wc -c < /dev/null; hash; type wc",
    "exec 3< /etc/passwd; read -u 3 line; echo ${line%%:*}; exec 3<&-; exec {fd}> /dev/null; echo $fd",
    "echo to > /dev/stderr; echo out > /dev/stdout; echo err >&2",
    "time true 2> /dev/null; TIMEFORMAT=%lR; time :",
    "let x=5 y=x*2; echo $y; printf -v z '%05d' 7; echo $z; printf '%q\\n' 'a b' $'tab\\t'",
    "umask 077; : > /tmp/mode; stat -c %a /tmp/mode; rm /tmp/mode",
    "bash; sh -c 'echo $0 $SHLVL $_'; bash --norc -c 'echo $SHLVL $_ $0'",
    "eval 'echo evaluated; (exit 6)'; echo $?; . /dev/stdin <<< 'echo sourced $BASH_SOURCE'",
    "set -- a 'b c'; shift; echo \"$@\" $#; getopts ab: o -a; echo $o $OPTIND",
    "enable -n echo; echo by program; command -V echo; builtin printf '%s\\n' x",
    "echo \\\n  continued # comment\n\n: end",
    "exec -a other bash -c 'echo $0'",
    "suspend; disown; fg; bg; logout; echo $?",
]


@pytest.fixture(scope="module", params=NAMESPACES, ids=str)
def served(request: pytest.FixtureRequest) -> Iterator[Preforked]:
    mode: Mode = request.param
    skip_if_refused(mode)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)  # other users reach it
        running = Preforked(mode, tools_in(Path(directory) / "tools"))
        yield running
        running.close()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_does_as_with_a_bash_of_its_own(served: Preforked, script: str) -> None:
    forked, alone = served.both_ways(script, {"MANTA_INPUT_FILE": "/no/$HOME `id` \"'", "mc_x": ""}, LINES)
    assert forked == alone


def texts(outcomes: list[Outcome]) -> list[str]:
    assert [(outcome.code, outcome.stderr) for outcome in outcomes] == [(0, "")] * len(outcomes)
    return [outcome.stdout for outcome in outcomes]


def test_each_task_has_its_own_variables(served: Preforked) -> None:
    values = [{"MANTA_X": f"{n} = 'x'"} | ({"mc_y": "a\nb"} if n % 2 else {}) for n in range(TASKS)]
    shown = texts(served.run('echo "$MANTA_X" ${mc_y-unset}; env | grep -c ^mc_y; :', values))
    assert shown == [f"{n} = 'x' {'a b' if n % 2 else 'unset'}\n{n % 2}\n" for n in range(TASKS)]


def test_each_task_has_numbers_of_its_own(served: Preforked) -> None:
    shown = texts(served.run("echo $$ $RANDOM$RANDOM$RANDOM"))
    pids, numbers = zip(*(line.split() for line in shown), strict=True)
    assert len(set(pids)) == len(set(numbers)) == TASKS


def test_seconds_count_from_the_beginning_of_a_task(served: Preforked) -> None:
    served.run("echo $SECONDS")
    time.sleep(2.1)
    assert texts(served.run_more())[0] in ("0\n", "1\n")  # the second may end meanwhile


def test_usage_is_that_of_the_task(served: Preforked) -> None:
    busy = served.run("for ((i = 0; i < 20000; i++)); do :; done")[-1].done
    idle = served.run(":;")[-1].done
    assert busy.user_us + busy.sys_us > 10 * (idle.user_us + idle.sys_us) > 0
    assert idle.max_rss_kb > 1000


def test_few_tasks_have_a_bash_each(served: Preforked) -> None:
    served.run("echo $MANTA_X", [{}, {}])
    assert served.waiting() == []


def test_scripts_that_need_no_bash_start_none(served: Preforked) -> None:
    served.run("/bin/true x")
    assert served.waiting() == []


def test_a_variable_that_bash_obeys_is_left_to_a_bash_of_its_own(served: Preforked) -> None:
    served.run("echo ${BASH_ENV-none} $-")
    obeyed = [{"BASH_ENV": "/no/file"}, {"SHELLOPTS": "noglob"}]
    assert [served.run_more_with(variables) for variables in obeyed] == ["/no/file hBc\n", "none fhBc\n"]


def test_what_tasks_leave_is_ended_and_bash_goes_on(served: Preforked) -> None:
    mark = {"MANTA_X": unique_seconds()}
    served.run("sleep $MANTA_X & sleep $MANTA_X & (setsid sleep $MANTA_X &); exit 0", [mark] * TASKS)
    assert processes_with(mark["MANTA_X"]) == []
    waiting = served.waiting()
    assert len(waiting) == 1
    served.run_more()
    assert served.waiting() == waiting


def test_processes_that_always_make_new_ones_are_ended(served: Preforked) -> None:
    mark = {"MANTA_X": unique_seconds()}
    chain = (
        "next() { exec bash -c 'f() { (sleep 0; f) & }; f; : '$MANTA_X; }; for i in 1 2 3; do next & done; sleep 0.02"
    )
    assert [outcome.code for outcome in served.run(chain, [mark] * TASKS)] == [0] * TASKS
    assert processes_with(mark["MANTA_X"]) == []


def test_a_task_may_be_stopped(served: Preforked) -> None:
    served.run('echo running; [ -z "$MANTA_X" ] || { sleep 1000 & sleep 1000; }')
    reader, writer = os.pipe()
    task = served.instance.submit_again(environment={"MANTA_X": "1"}, stdout=writer)
    os.close(writer)
    assert os.read(reader, 100) == b"running\n"
    os.close(reader)
    served.instance.channel.send(Kind.STOP, task=task)
    stopped = served.results([task])[0].done
    assert (stopped.status, stopped.flags) == (signal.SIGKILL, DoneFlag.STOPPED)
    assert texts(served.run_more(TASKS)) == ["running\n"] * TASKS


@needs_core_files
def test_a_core_dump_is_told_as_with_a_bash_of_its_own(served: Preforked) -> None:
    forked, alone = served.both_ways("kill -SEGV $$; sleep 9")
    assert forked == alone
    assert forked.flags == DoneFlag.CORE


# Every other bash of the instance is the one that waits; ours is left out by its number.
OTHERS = "for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = $$ ] || [ $p = 1 ] || kill -%s $p; done 2> /dev/null"


def test_a_task_that_ends_the_waiting_bash_harms_none(served: Preforked) -> None:
    assert texts(served.run(f"{OTHERS % 'KILL'}; echo fine")) == ["fine\n"] * TASKS
    assert texts(served.run_more(TASKS)) == ["fine\n"] * TASKS
    assert served.waiting() == []  # it was ended too often


@needs_core_files
def test_a_core_dump_of_the_waiting_bash_is_no_task_s(served: Preforked) -> None:
    ended = served.run(f"{OTHERS % 'SEGV'}; echo fine")
    assert texts(ended) == ["fine\n"] * TASKS
    assert {outcome.done.flags for outcome in ended} == {0}


@pytest.fixture
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    skip_if_refused(NAMESPACES[0])
    return tools_in(tmp_path_factory.mktemp("prefork") / "tools")


def test_a_waiting_bash_that_does_not_answer_is_given_up(tools: Path) -> None:
    stopped = Preforked(NAMESPACES[0], tools)
    variables = [{}] + [{"MANTA_X": "1"}] * TASKS
    assert texts(stopped.run(f"[ $MANTA_X ] || {{ {OTHERS % 'STOP'}; }}; echo fine", variables)) == ["fine\n"] * len(
        variables
    )
    stopped.close()


@pytest.mark.parametrize("content", [b"", b"no library"], ids=["empty", "other"])
def test_without_the_builtin_tasks_have_a_bash_each(tools: Path, content: bytes) -> None:
    (tools / ".prefork.so").write_bytes(content)
    broken = Preforked(NAMESPACES[0], tools)
    assert texts(broken.run("echo $0")) == ["bash\n"] * TASKS
    assert broken.waiting() == []
    broken.close()
