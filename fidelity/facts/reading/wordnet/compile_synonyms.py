"""Makes synonyms.txt.gz: python -m fidelity.facts.reading.wordnet.compile_synonyms DICT

DICT is the folder `dict` of WordNet 3.0, with data.noun, data.verb, data.adj and data.adv (data.noun may be in parts:
data.noun1, data.noun2). The format of these files: https://wordnet.princeton.edu/documentation/wndb5wn
"""

import argparse
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from fidelity.facts.reading.wordnet.synonyms import SYNONYMS

# Hypernym, similar to, derivationally related form.
_POINTERS = frozenset("@&+")
# Names and phrases are left out.
_PLAIN_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")

Synset = tuple[str, tuple[str, ...], tuple[str, ...]]


def read_synsets(folder: Path) -> Iterator[Synset]:
    """(identifier, plain words, identifiers of the sets that may replace it) of each line of the data files."""
    for path in sorted(folder.glob("data.*")):
        for line in path.read_text("ascii").splitlines():
            if line.startswith("  "):
                continue
            fields = line.split(" | ")[0].split()
            n_words = int(fields[3], 16)
            words = [re.sub(r"\(\w+\)$", "", word) for word in fields[4 : 4 + 2 * n_words : 2]]
            pointers = fields[5 + 2 * n_words :]
            others = tuple(
                _identifier(pointers[i + 1], pointers[i + 2])
                for i in range(0, 4 * int(fields[4 + 2 * n_words]), 4)
                if pointers[i] in _POINTERS
            )
            yield _identifier(fields[0], fields[2]), tuple(w for w in words if _PLAIN_WORD.fullmatch(w)), others


def _identifier(offset: str, part_of_speech: str) -> str:
    """An adjective is `a` in one file and `s`, a satellite, in pointers to it."""
    return offset + part_of_speech.replace("s", "a")


def compile_synonyms(folder: Path, out: Path) -> int:
    """The number of sets of synonyms written."""
    kept = [(identifier, words, others) for identifier, words, others in read_synsets(folder) if words]
    numbers = {identifier: number for number, (identifier, _, _) in enumerate(kept)}
    lines = []
    for _, words, others in kept:
        known = sorted({numbers[other] for other in others if other in numbers})
        lines.append(f"{' '.join(words)}\t{' '.join(map(str, known))}\n")
    with out.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write("".join(lines).encode("ascii"))
    return len(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DICT")
    parser.add_argument("--out", type=Path, default=SYNONYMS)
    chosen = parser.parse_args()
    print(f"{compile_synonyms(chosen.folder, chosen.out):,} sets of synonyms in {chosen.out}")


if __name__ == "__main__":
    main()
