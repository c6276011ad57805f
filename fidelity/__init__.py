"""Does a rewrite still say what its source says? Pairs of texts in, verdicts out.

Subpackages, lowest layer first: `facts` and `planting`, `checks`, `calibration`; then the modules `judge`, `checker`
(during a run) and `verify` (files of pairs); on top `fitting`, which fits the weights. From `rephrase` it imports only
the records and the few modules that the import contract lists. It needs neither Prefect nor vLLM.
"""
