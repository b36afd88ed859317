"""A job on its way, as its user follows it: from the first input to the outputs on stdout.

`course` is the whole way; on it `wait` shows how the job moves (`operation_line` for an operation, `eta` for how long
it still takes), `outcome` says what went wrong, `output_printing` prints, and `interruption` says how to get at a job
whose client ends before it does. `task_log` follows what tasks print.
"""
