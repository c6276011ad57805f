"""Starts the processes of a run: in this one, in several on this machine, or on a Ray cluster."""
