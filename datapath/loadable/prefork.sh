# What a bash reads that is to serve many tasks (BASH_ENV): everything behind `prefork` happens in the tasks' processes,
# and leaves nothing of this behind. `$_` is what it is at the beginning of every script.
enable -f "${BASH_ENV%.sh}.so" prefork && prefork || exit
enable -d prefork
unset BASH_ENV
: bash
