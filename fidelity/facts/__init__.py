"""Typed facts: what a cosine cannot see. Numbers, dates, names, polarity, mathematics and literals of two texts."""
