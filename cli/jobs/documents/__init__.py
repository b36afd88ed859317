"""From words, files and lists of names to what a job is sent: its JSON, its inputs, or what it would be (a dry run).

`specification` reads the words of `mjob create`, `manifest` a file; `local_inputs` and `input_names` are where inputs
come from, `unfinished` those of an earlier job that have no result. `plan` and `operation_plan` send nothing.
"""
