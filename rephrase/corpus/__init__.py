"""Source files and their text: reading, sampling, language detection, protected spans, chunks.

Nothing here depends on prompts, engines or outputs.
"""
