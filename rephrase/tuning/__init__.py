"""Tune the packaged model to reword: an adapter trained on rewrites that were written for this by reading.

Nothing else imports it: a run only loads the adapter that it makes.
"""
