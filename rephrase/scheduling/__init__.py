"""When each chain of chunks is written, how many at once, and what that takes: the scheduler, the token target,
cost, estimates and a simulation.

Nothing here reads documents or writes shards.
"""
