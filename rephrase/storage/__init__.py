"""An output folder on any filesystem: files that appear whole or not at all, and exclusive write access.

`rephrase.dataset` defines what the files contain.
"""
