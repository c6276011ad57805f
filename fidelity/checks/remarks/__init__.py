"""Remarks of the model about itself, its task, its reader or the text, in the place of a rewrite or around it.

A rewrite may be a letter, a lecture or a conversation, in which people apologise, greet and cannot believe their ears.
So what is said between quotation marks or after a speaker's name does not count, and the salutation of a letter or of
an audience makes some phrases harmless. Nothing counts that the source says too.
"""
