"""The journal of a part under way: one small file for each finished (document, variant).

    OUT/journal/part-00017/00000042-0.json

A run that was killed finds there what need not be generated again. The journal goes when the part is committed.
"""

import dataclasses
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from rephrase.rows import Row
from rephrase.shards import part_name
from rephrase.storage import Storage

logger = logging.getLogger(__name__)

# The position of a document in its part, and the variant.
Key = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one variant of one document came to: its row, if there is one, and its refused chunks, of all steps.

    `route` names the recipes, joined with +; `engine_s` is its share of the engine's time (see `rephrase.scheduler`).
    """

    rewrite: Row | None
    rejects: list[Row]
    n_chunks: int
    n_prompt_tokens: int
    n_completion_tokens: int
    n_cached_tokens: int
    route: str = ""
    engine_s: float = 0.0
    cost: float = 0.0

    @property
    def n_tokens(self) -> int:
        """Accepted."""
        return int(self.rewrite["n_tokens"]) if self.rewrite else 0


class Journal:
    def __init__(self, storage: Storage, part: int) -> None:
        self._storage = storage
        self._folder = f"journal/{part_name(part)}"

    def read(self) -> dict[Key, Entry]:
        """All finished entries. One that cannot be read is left out, so that its document is written again."""
        entries: dict[Key, Entry] = {}
        names = (f"{self._folder}/{name}" for name in self._storage.names(self._folder, ".json"))
        for name, data in self._storage.read_many(names):
            try:
                document, variant = name.rsplit("/", 1)[-1].removesuffix(".json").split("-")
                entries[int(document), int(variant)] = Entry(**json.loads(data))
            except (ValueError, TypeError) as error:
                logger.warning("journal entry %s cannot be read and is done again: %s", name, error)
        return entries

    def write(self, key: Key, entry: Entry) -> None:
        document, variant = key
        data = json.dumps(dataclasses.asdict(entry), ensure_ascii=False)
        self._storage.write(f"{self._folder}/{document:08d}-{variant}.json", data.encode())

    def remove(self) -> None:
        self._storage.remove(self._folder)


def remove_leftovers(storage: Storage, committed: Iterable[int]) -> None:
    """Remove what a kill leaves behind: journals of parts committed just before it, and writes that were cut off."""
    storage.remove_temporaries()
    names = set(storage.names("journal"))
    for part in committed:
        if part_name(part) in names:
            Journal(storage, part).remove()
