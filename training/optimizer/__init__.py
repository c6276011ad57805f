"""MuonClip (Newton–Schulz, parameter rules, QK-Clip) and learning-rate schedules."""
