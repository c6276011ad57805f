"""MuonClip pre-training of a mixture-of-experts model on committed shards, measuring the value of each token.

Subpackages, lowest layer first: `data`, `model`, `optimizer` and `sharding`, `utility`, `loop`. Below them are
`parallel`, the processes of a run and their mesh, and `processes`, which starts them; `planning` is a run on paper;
`published`, `huggingface`, `export` and `hf_trainer` connect to other programs.
"""
