"""Prefect flows, the command line and the reports: the only package that knows Prefect.

Rooms, from the ground up: `results` and `config`; `report`, `verification`, `running`; the flows themselves
(`rephrasing`, `verifying`, `pretraining`) with `local`, `demo` and `doctor`; `serving`; `cli`. Flows only join what
other packages open.
"""
