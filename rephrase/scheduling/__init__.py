"""When each chain of chunks is written, how many at once, and at what cost: the scheduler, the token target, cost,
estimates and a simulation.

Nothing here reads or writes the shards of a run.
"""
