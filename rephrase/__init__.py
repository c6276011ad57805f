"""From a corpus of documents to shards of rewrites: reading, chunking, prompts, engines, storage."""
