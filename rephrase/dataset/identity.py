"""Which documents a part holds, as two digests in its plan and in its commit.

Positions alone would let the documents of another corpus, or of a file that was replaced, pass for done.
"""

import hashlib
from collections.abc import Iterable

from rephrase.records import Document, UnreadableRecord, digest


class PartDigests:
    """The digests of the records of a part, added in order.

    `ids` is of their ids and places, which the rows of the finished part tell, too; `texts` of their texts.
    """

    def __init__(self) -> None:
        self._records: list[tuple[str, int, str]] = []
        self._texts = hashlib.sha256()

    def add(self, record: Document | UnreadableRecord) -> None:
        name = record.id if isinstance(record, Document) else record.document_id
        self._records.append((record.source, record.record, name))
        text = record.text.encode()
        self._texts.update(len(text).to_bytes(8, "big") + text)

    @property
    def ids(self) -> str:
        return ids_digest(self._records)

    @property
    def texts(self) -> str:
        return self._texts.hexdigest()[:16]


def ids_digest(records: Iterable[tuple[str, int, str]]) -> str:
    """The digest of the (source, record, document id) of a part's records, in any order and however often."""
    return digest(*(f"{source}\x1f{record}\x1f{name}" for source, record, name in sorted(set(records))))
