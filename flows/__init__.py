"""Prefect flows, the command line and the reports: the only package that knows Prefect.

Subpackages and modules, lowest layer first: `results` and `config`; `report`, `verification`, `running`; the flows
themselves (`rephrasing`, `verifying`, `pretraining`) with `local`, `demo` and `doctor`; `serving`; `cli`. Flows only
combine what other packages provide.
"""
