"""Which token would go on with a run copied from the passage, so that a sampler can make it less likely.

When the last four tokens of what was generated stand in the passage one after the other, the token that follows them
there is lowered. Only the first token of a word can be: half a word has one right ending, and punctuation is no copy.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

N_TOKENS = 4


class CopiedRuns:
    """The tokens of a passage, by the run of tokens before them."""

    def __init__(self, passage: Sequence[int], lowered: Collection[int]) -> None:
        """
        Args:
            passage: its token ids.
            lowered: the positions in it whose token may be lowered. One that also follows the same run at another
                position, which is not among them, is left alone.
        """
        following: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        kept: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        for i in range(N_TOKENS, len(passage)):
            (following if i in lowered else kept)[tuple(passage[i - N_TOKENS : i])].add(passage[i])
        self._following = {run: sorted(tokens - kept[run]) for run, tokens in following.items()}

    def continuing(self, generated: Sequence[int]) -> list[int]:
        """The tokens that would go on with a copy; none where what was generated last is no run of the passage."""
        return self._following.get(tuple(generated[-N_TOKENS:]), [])


def lowered_positions(token_starts: Sequence[int], word_starts: Sequence[int], n_characters: int) -> list[int]:
    """The positions of the tokens in which one of these words starts, by offsets in the text, all ascending.

    A token may begin with the space before its word.
    """
    found, word = [], 0
    for i, start in enumerate(token_starts):
        end = token_starts[i + 1] if i + 1 < len(token_starts) else n_characters
        while word < len(word_starts) and word_starts[word] < start:
            word += 1
        if word < len(word_starts) and word_starts[word] < end:
            found.append(i)
    return found
