"""Does a rewrite still say what its source said? Pairs of texts in, verdicts out."""
