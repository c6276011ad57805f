"""How a decoder is divided among the processes of a mesh: FSDP2 for its weights, expert parallelism for its experts.

`training.parallel` has the mesh; the optimizer divides its own work (`training.optimizer.owners`).
"""
