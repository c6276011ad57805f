"""MuonClip: Newton–Schulz, the rules that assign parameters, QK-Clip; and the schedule of the learning rate."""
