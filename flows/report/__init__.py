"""One HTML file about a run, with figures and a reader, which needs nothing else."""
