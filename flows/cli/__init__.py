"""The `palimpsest` command: one file a command, and below them `console` and `run_options`.

Commands parse, call and print; what they call lives elsewhere.
"""
