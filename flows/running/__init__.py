"""What a run needs around its parts: models opened once, the Prefect server, artifacts, secrets, metrics, signals,
Ray.

The flows that use this are one level up.
"""
