"""Imported by the process from which commands are forked: what a run loads once is then loaded for all of them."""

from fidelity.facts.comparing.compare import compare_facts
from rephrase.corpus.language import detect_language, language_and_probability
from rephrase.models.precision import fast_precision

_TEXT = "On 3 May 1990 Ann Lee of Ulm walked 3.5 km, not 4 miles, in two hours, and $x = 2$."

compare_facts(_TEXT, _TEXT)
compare_facts(_TEXT, "On 4 May 1991 Ann Low rode 5 kg.")
detect_language(_TEXT)
language_and_probability(_TEXT)
fast_precision()
