"""A training run: the loop with checkpoints, evaluation, telemetry and loss guard, and a complete run from options."""
