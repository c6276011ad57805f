"""Tune the packaged model to reword: an adapter trained on rewrites written for this purpose.

Nothing else imports it: a run only loads the adapter that it makes.
"""
