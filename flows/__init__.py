"""Prefect flows, the command line and the reports: the only package that knows Prefect."""
