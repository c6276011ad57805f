"""A training run: the loop, its checkpoints, evaluation, telemetry and guard, and a whole run from its options."""
