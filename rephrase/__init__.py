"""From a corpus of documents to shards of rewrites.

Modules and subpackages, lowest layer first: `records` and `settings`, then `models` and `storage`, `corpus`,
`engines`, `prompting`, `dataset`, `scheduling`. On top of them, `rewriting` rewrites one document and `parts` one part
of a corpus. Nothing here depends on Prefect, and nothing here judges a rewrite: the caller passes in the checker.
"""
