"""Token utility: the value of each source, recipe, style and repetition to the model, and the next mixture."""
