"""Token utility: what each source, recipe, style and repetition of the corpus teaches, measured while training."""
