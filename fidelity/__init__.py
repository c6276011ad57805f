"""Does a rewrite still say what its source said? Pairs of texts in, verdicts out.

Rooms, from the ground up: `facts` and `planting`, `checks`, `calibration`; then `judge`, `checker` (during a run) and
`verify` (files of pairs); above them `fitting`, which makes the weights. Of `rephrase` it uses the records and the few
modules that the import contract names; it works without Prefect and without vLLM.
"""
