"""What a text states: numbers with units, dates, names, negations, formulas, literals.

One text at a time; comparison is in `fidelity.facts.comparing`.
"""
