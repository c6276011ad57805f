"""A corpus with planted rewrites, and the rounds of the cycle on it: see bench_cycle.py."""
