"""MuonClip pre-training of a mixture-of-experts model on committed shards, measuring the value of each token.

Subpackages, lowest layer first: `data`, `model`, `optimizer`, `utility`, `loop`. The module `parallel` is below
`utility`; `published`, `huggingface`, `export` and `hf_trainer` connect to other programs.
"""
