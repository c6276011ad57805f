"""From a corpus of documents to shards of rewrites.

Rooms, from the ground up: `records` and `settings`, then `models` and `storage`, `corpus`, `engines`, `prompting`,
`dataset`, `scheduling`. On top of them, `rewriting` rewrites one document and `parts` one part of a corpus. Nothing
here knows Prefect, and nothing here judges a rewrite: the checker comes in from outside.
"""
