"""A training run on paper: memory, traffic and idle time of a layout of ranks, without a machine to run it on."""
