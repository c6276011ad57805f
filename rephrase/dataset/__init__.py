"""What a run writes and reads back: the plan, the schema, rows, shards, the journal, and the audit of all of them.

Only this room knows the layout of an output folder.
"""
