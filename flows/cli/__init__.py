"""The `palimpsest` command: one file per command, on top of `console` and `run_options`.

Commands parse options, call other packages and print.
"""
