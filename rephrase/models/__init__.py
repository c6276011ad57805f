"""Language models as files: the folder behind a name, the size of a model, its tokenizer, the numeric precision.

Models are run in `rephrase.engines`.
"""
