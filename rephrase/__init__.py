"""From a corpus of documents to shards of rewrites: records, reading, chunking, prompts, engines, rewriting, storage."""
