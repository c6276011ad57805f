"""Source files, and the text in them: reading, sampling, language, protected spans, chunks.

Nothing here knows of prompts, models or outputs.
"""
