"""English words that can mean the same, from Princeton's WordNet 3.0."""

from fidelity.facts.reading.wordnet.synonyms import Meanings, can_mean

__all__ = ["Meanings", "can_mean"]
