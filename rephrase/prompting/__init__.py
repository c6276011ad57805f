"""From a chunk to the prompt that a model gets, and back: recipes, routing, context, masking, glossary, hints, the
boundary between two rewritten chunks.

The recipes lie in `recipes/` as TOML. Whether an answer is good is the business of `fidelity`.
"""
