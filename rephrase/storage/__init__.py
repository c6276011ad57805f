"""An output folder on any filesystem: files that appear whole or not at all, and the right to write them.

What the files hold is the business of `rephrase.dataset`.
"""
