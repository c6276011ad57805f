"""From shards to batches: tokens and their origin, sampling by mixture, packing, document boundaries, held-out data."""
