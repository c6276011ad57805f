"""How the weights are made: labelled sets, planted pairs, scores, the fit, its reliability.

Nothing at run time needs this room.
"""
