"""The training stage, which reads committed shards."""
