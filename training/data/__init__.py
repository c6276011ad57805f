"""From shards to batches: tokens and their provenance, mixture sampling, packing, boundaries, held-out data."""
