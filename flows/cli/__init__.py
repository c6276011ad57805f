"""The `palimpsest` command: one file per command, on top of `run_options` and `flows.console`.

Commands parse options, call other packages and print.
"""
