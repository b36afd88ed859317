"""The shells' side of completion: a script for each shell, and the form in which it takes candidates."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

SHELLS = ("bash", "zsh", "fish")


class Bash(BashComplete):
    """A candidate is a line, `type,value`, the value as it is to stand on the command line.

    Readline would quote names of files, but lets `$` and backquotes be.
    """

    source_template = """\
%(complete_func)s() {
    local line IFS=$'\\n'
    local -a lines
    COMPREPLY=()
    mapfile -t lines < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
        COMP_QUOTE="${COMP_WORDS[COMP_CWORD]:0:1}" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    for line in "${lines[@]}"; do
        case $line in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*) COMPREPLY+=("${line#plain,}") ;;
        esac
    done
    for line in "${COMPREPLY[@]}"; do
        [[ $line = */ ]] && compopt -o nospace
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def source(self) -> str:
        return ShellComplete.source(self)  # its own starts a bash to ask for the version

    def format_completion(self, item: CompletionItem[Any]) -> str:
        quote = os.environ.get("COMP_QUOTE")  # which our script sets, and others do not expect quoted words
        return f"{item.type},{item.value if quote is None else quoted(item.value, quote)}"


def quoted(word: str, quote: str = "") -> str:
    """A word for bash's command line, to follow a quotation mark that is already there, if it is one.

    The mark is closed here, but for a directory: readline does not if the word ends in one.
    """
    end = "" if word.endswith("/") else quote
    if quote == "'":
        return word.replace("'", "'\\''") + end
    if quote == '"':  # in which an exclamation mark cannot be written: the quotes are left for it
        return re.sub(r'([\\"$`])', r"\\\1", word).replace("!", "\"'!'\"") + end
    home = "~~" if word.startswith("~~") else ""
    return home + re.sub(r"([^\w/.,:=@%+-])", r"\\\1", word.removeprefix(home))


class Zsh(ZshComplete):
    """A candidate is three lines: type, value, description. `compadd` quotes."""

    source_template = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local type value description
    local -a lines names directories described account
    (( ! $+commands[%(prog_name)s] )) && return 1
    lines=("${(@f)$(env COMP_WORDS="${(F)words}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for type value description in "${lines[@]}"; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain)
                if [[ $description != _ ]]; then
                    described+=("${${value//\\\\/\\\\\\\\}//:/\\\\:}:$description")
                elif [[ $value = */ ]]; then
                    directories+=("$value")
                else
                    names+=("$value")
                fi ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    if [[ $PREFIX = '~~'* ]]; then  # which zsh would quote, and a quoted one is no account
        account=(-i '~~')
        directories=("${(@)directories#[~][~]}") names=("${(@)names#[~][~]}")
    fi
    (( $#directories )) && compadd -U $account -S '' -V unsorted -a directories
    (( $#names )) && compadd -U $account -V unsorted -a names
    return 0
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type}\n{item.value}\n{' '.join((item.help or '_').split())}"


class Fish(FishComplete):
    """A candidate is a line, `type,value` and a tab before its description. fish quotes."""

    source_template = """\
function %(complete_func)s
    for line in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \\
            COMP_CWORD=(commandline -t) %(prog_name)s 2>/dev/null)
        set -l parts (string split -m 1 -- , $line)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                printf '%%s\\n' $parts[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{item.value}" + (f"\t{' '.join(item.help.split())}" if item.help else "")


CLASSES: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register() -> None:
    """Let click answer our scripts, not its own."""
    for name, kind in CLASSES.items():
        add_completion_class(kind, name)


def script(shell: str, programs: Sequence[str]) -> str:
    """What a shell must evaluate so that `programs` complete."""
    kind = CLASSES[shell]
    made = [kind(click.Command(name), {}, name, f"_{name.upper()}_COMPLETE").source() for name in programs]
    return "\n".join(made)
