"""Plain scripts, which the lackey executes itself: a task cannot tell that bash was not there.

Every script runs twice in the same instance, as it is and by bash; what it leaves must be equal.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datapath.passing import DoneFlag, Kind, encode_environment
from datapath.plain import plain_words
from tests.support.nodes.lackey_instance import MODES, Instance, Mode, needs_core_files, skip_if_refused
from tests.support.nodes.plain_scripts import both_ways

PREPARE = r"""
mkdir -p programs/directory other
cd programs
put() { printf "$2" > $1; chmod ${3:-755} $1; }
put named '#!/bin/sh\nprintf "%%s\\n" "$0" "$@"\n'
put shell 'echo "$0 $* $#"; env\n'
put empty ''
put uninterpreted '#!/no/interpreter -x\n'
put carriage '#!/bin/sh\r\necho x\r\n'
put indirect '#!/bin/sh -eu\necho "$0 $*"; echo $missing\n'
put loud '#!/bin/sh\necho out; echo err >&2; exit 9\n'
put nested '#!/bin/bash\necho $SHLVL $_ $0; bash -c "echo \\$SHLVL"\n'
put unreadable '#!/bin/sh\necho x\n' 0111
put secret 'x' 0644
put binary '\177ELF\001\002\003\000'
put data ': data'
put later '#!/bin/sh\necho the wrong one\n' 0644
put ../other/later '#!/bin/sh\necho the later one\n'
mkdir shadowed; put ../other/shadowed '#!/bin/sh\necho behind a directory\n'
ln -s named linked; ln -s missing dangling; ln -s circle circle
"""

PROGRAMS = [
    *(" env ", "\tenv\t-u\tHOME", f"/{'x' * 300}", "x" * 300, "x" * 4000, f"/{'x/' * 2000}"),
    *"""
true x
env
printenv PATH
/usr/bin/env
env -i
cat /proc/self/cmdline
cat '/proc/self/cmdline' a "b c" ''
/bin/cat /proc/self/cmdline
cat /proc/self/limits
cat /proc/self/personality
cat /proc/self/oom_score_adj
cat /proc/self/cgroup
cat /proc/self/timerslack_ns
cat /proc/self/coredump_filter
cat /proc/self/comm
cat /proc/self/mountinfo
grep -E '^(Umask|State|PPid|TracerPid|Uid|Gid|Groups|Seccomp|NoNewPrivs|Cap|Sig[BIC]|Shd)' /proc/self/status
perl -e '@s = split q( ), `cat /proc/$$/stat`; print $_ == $$ ? q(own ) : qq($_ ) for @s[0, 3 .. 7, 17, 18]'
perl -e 'opendir D, q(/proc/self/fd); print sort grep { $_ < 100 } readdir D'
perl -e 'use POSIX; sigaction $_, undef, $a = POSIX::SigAction->new or print $_ for 1 .. 31; print $a->handler'
pwd -P
/bin/pwd
/bin/pwd -L
readlink /proc/self/cwd
readlink /proc/self/exe
stat -L -c %F /dev/stdin
nice
id
id -u
whoami
uname -s
umask
ls -a /
date -d @0 -u +%Y
seq 3
expr 1 + 1
tty
wc
wc -l /etc/passwd
wc /no/file
wc --no-such-option
sort -x
head -c 5 /etc/passwd
cat /no/file
dd if=/etc/passwd bs=1 count=3 status=none
tr a-z A-Z
cut -d: -f1 /etc/passwd
grep root /etc/passwd
grep -c x
grep -q nothing /etc/passwd
sed -n 1p /etc/passwd
sed 's/:.*//' /etc/passwd
awk -F: '{ print $1 }' /etc/passwd
awk 'BEGIN { exit 3 }'
awk 'BEGIN { print ENVIRON["PWD"], ENVIRON["_"], ENVIRON["SHLVL"] }'
sh -c 'exit 0'
sh -c 'exit 1'
sh -c 'exit 126'
sh -c 'exit 127'
sh -c 'exit 128'
sh -c 'exit 255'
sh -c 'echo $0 $PPID' x
sh -c env
sh -c 'cd /tmp; env'
sh -c 'nothing'
dash -c 'echo $PWD $OLDPWD'
bash -c 'echo $SHLVL $_ $SHELL $0' x
bash -c 'env; echo $-; set -o'
bash --norc -c 'echo $OLDPWD'
bash -c 'exit 3'
bash -c 'type wc; hash'
bash -c 'kill -0 $$'
bash nothing
bash -c 'trap; ulimit -a; umask'
perl -e 'kill HUP => $$; sleep 9'
perl -e 'kill INT => $$; sleep 9'
perl -e 'kill KILL => $$; sleep 9'
perl -e 'kill TERM => $$; sleep 9'
perl -e 'kill PIPE => $$; sleep 9'
perl -e 'kill USR1 => $$; sleep 9'
perl -e 'kill ALRM => $$; sleep 9'
perl -e '$SIG{PIPE} = q(IGNORE); exit 4'
perl -e 'exit 256'
timeout -s KILL 9 sh -c 'exit 5'
xargs -n 1
xargs -0 printf x%sx
find /etc/passwd -printf %f
find /etc/passwd -maxdepth 0 -name 'pass*'
printf x
echo x
test 1
kill -9
if
nothing
nothing -x y
Nothing
WC
env nothing
env -S 'printf x'
env A=b printenv A
nohup printenv _
setsid --wait printenv _
stdbuf -o0 printenv _
python3 -c 'import os; [print(k, v, sep="=") for k, v in os.environ.items()]'
python3 -c 'import signal; print(signal.getsignal(2))'
/
//
/etc
/etc/passwd
/no/program
/bin/nothing
./nothing
..
../x
etc
/bin/
/bin/cat/
7
2to3x
_
a.b
a-b
a+b
./
a/
x/y/z
""".strip().splitlines(),
]
PREPARED = """
named
named a 'b c' "d" ''
named a'b'c"d" x=y ^ % @ + : , -- -
linked x
dangling
circle
circle x
shell
shell a 'b c'
empty
empty x
uninterpreted
uninterpreted x
carriage
indirect a b
loud
nested
unreadable
secret
binary
data
later
shadowed
directory
missing
""".strip().splitlines()
IN_PLACE = [f"{place}/{script}" for script in PREPARED for place in ("programs", "./programs", "programs/..//programs")]
ODD_PATHS = ["", ":", "/", ".", "programs", "/usr/bin:", ":/usr/bin", "/usr/bin/", "~:/usr/bin", "/no:/usr/bin"]
ODD_PATHS += ["/etc/passwd:/usr/bin"]
WORDS = [
    f"/usr/bin/printf '<%s>\\n' {words}"
    for words in (
        *("a  b\tc ", "'\\n'", "a" * 3000),
        *"""
a b
''
'' ""
a''b
'a b'c
'a'"b"'c'
"'"
'"'
'$HOME'
'`id`'
'*'
"*"
'a{b,c}d'
"a{b,c}d"
'~'
"~"
'#'
a'#'b
'!'
'!!'
'a;b'
'a&b'
'a|b'
'(a)'
a=b
a=b=c
=a
a+=b
a=
'a=~'
--x=y
-x
--
-
%
%s
%%
^
^a^b
@
@a
a@b
:
a:b
,
a,b
.
..
/
//
_
-e
+
a+
if
then
do
in
function
time
"a b" 'c d'
"<>"
'<' '>'
"a'b'c"
'a"b"c'
'[a-z]'
"[!a]"
'?'
0
1 2 3
""".strip().splitlines(),
    )
]
ENVIRONMENTS = [
    {"BASH_ENV": "programs/secret"},
    {"BASH_FUNC_env%%": "() { echo function; }"},
    {"SHELLOPTS": "xtrace"},
    {"BASHOPTS": "nullglob"},
    {"POSIXLY_CORRECT": "1"},
    {"SHLVL": "7"},
    {"PWD": "/tmp", "OLDPWD": "/etc"},
    {"_": "x", "IFS": "e"},
    {"EXECIGNORE": "*/env"},
    {"a-b": "c", "MANTA_X%%": "() { :; }"},
    {"MANTA_INPUT_FILE": "/manta/\x01\x7f\udcff é\n", "mc_input_key": "() { :; }; x", "REMORA_X": "", "TMPDIR": "~"},
]


@pytest.fixture(params=MODES, ids=str)
def instance(request: pytest.FixtureRequest) -> Iterator[Instance]:
    mode: Mode = request.param
    skip_if_refused(mode)
    running = Instance(mode)
    assert running.run(PREPARE).stderr == ""
    yield running
    running.close()


def set_path(instance: Instance, path: str) -> None:
    instance.channel.send(Kind.ENV, payload=encode_environment({"PATH": path, "HOME": "/root"}))


def differing(instance: Instance, scripts: list[str]) -> dict[str, object]:
    """What differs, of plain scripts, from what bash makes of them."""
    results = {script: both_ways(instance, script) for script in scripts}
    return {script: (direct, by_bash) for script, (direct, by_bash) in results.items() if direct != by_bash}


def test_programs_of_the_machine_run_as_by_bash(instance: Instance) -> None:
    assert differing(instance, PROGRAMS) == {}


def test_all_kinds_of_files_are_executed_or_refused_as_by_bash(instance: Instance) -> None:
    assert all(plain_words(script) for script in (*PREPARED, *IN_PLACE))
    assert differing(instance, IN_PLACE) == {}
    place = instance.run("echo $PWD").stdout.strip().rstrip("/")
    set_path(instance, f"{place}/missing:{place}/programs:{place}/other:/usr/bin:/bin")
    assert differing(instance, PREPARED) == {}


def test_words_arrive_as_by_bash(instance: Instance) -> None:
    assert differing(instance, WORDS) == {}


def test_an_odd_path_is_searched_as_by_bash(instance: Instance) -> None:
    for path in ODD_PATHS:
        set_path(instance, path)
        scripts = ["env", "named x", "/usr/bin/env", "programs/named", "passwd", "nothing"]
        assert (path, differing(instance, scripts)) == (path, {})


def test_a_working_directory_that_was_moved_is_as_with_bash() -> None:
    instance = Instance(Mode("subreaper"))
    try:
        assert instance.run("cd ..; mv root moved; ln -s moved root").code == 0
        assert differing(instance, ["env", "/bin/pwd", "printenv PWD"]) == {}
    finally:
        instance.close()


@needs_core_files
def test_a_core_dump_is_told_as_with_bash(instance: Instance) -> None:
    script = "perl -e 'kill SEGV => $$; sleep 9'"
    direct, by_bash = both_ways(instance, script)
    assert direct == by_bash
    assert direct.flags == DoneFlag.CORE


def test_an_environment_arrives_as_by_bash(instance: Instance) -> None:
    for environment in ENVIRONMENTS:
        direct, by_bash = both_ways(instance, "env -0", environment, "\0")
        assert direct == by_bash


def test_the_shell_of_a_task_is_its_bash(instance: Instance) -> None:
    assert instance.run("printenv SHELL").stdout == "/bin/bash\n"
    assert instance.run("echo $SHELL").stdout == "/bin/bash\n"
