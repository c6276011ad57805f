"""From a chunk to its prompt, and from the answer to the rewrite: recipes, routing, context, masking, glossary,
back-translation, hints, and the boundary between two rewritten chunks.

The recipes are TOML files in `recipes/`. The quality of an answer is checked in `fidelity`.
"""
