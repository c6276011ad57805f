"""How a decoder is divided among the processes of a mesh: stages of layers, experts, and FSDP2 for the weights.

`parallelize` divides a model; `micro_batches` and `pipeline` run the passes of a step through what a process then has.
`training.parallel` has the mesh; the optimizer divides its own work (`training.optimizer.owners`).
"""
