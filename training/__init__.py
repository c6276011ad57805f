"""A MuonClip mixture-of-experts pre-training stage that reads committed shards and measures what each token is worth.

Rooms, from the ground up: `data`, `model`, `optimizer`, `utility`, `loop`. Beside them stand `parallel` (below
`utility`), and `huggingface`, `export` and `hf_trainer` for other programs.
"""
