"""What a run writes and reads back: the plan, the schema, rows, shards, the journal, and the audit of them all.

Only this subpackage knows the layout of an output folder.
"""
