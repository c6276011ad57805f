"""What a run needs around its parts: models loaded once, Prefect server, artifacts, secrets, metrics, signals, Ray.

The flows that use this subpackage are one level up.
"""
