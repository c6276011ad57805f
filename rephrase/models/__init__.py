"""Language models as files: which folder a name stands for, how large the model is, how it counts tokens.

Running a model is the business of `rephrase.engines`.
"""
