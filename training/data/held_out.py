"""Rows of held-out documents by stream: the reference for evaluation and gradient alignment."""

import numpy as np

from training.data.batch import Batch, assemble
from training.data.sampler import Piece
from training.data.token_store import TokenStore

MIN_HELD_OUT = 8


def effective_share(store: TokenStore, asked: float) -> float:
    """The share to hold out so that at least `MIN_HELD_OUT` documents are, none a copy or near copy of another.

    0 holds nothing out. A run of version 0.1.0 keeps the share it asked for.

    Raises:
        ValueError: there are too few documents to hold out as many.
    """
    if not asked or not store.by_content:
        return asked
    splits = np.unique(store.split_D[store.length_D > 1])
    if len(splits) < 2 * MIN_HELD_OUT:
        raise ValueError(
            f"{len(splits)} different documents are too few: {MIN_HELD_OUT} are held out for evaluation and token "
            f"utility, and as many must remain. Add documents until there are {2 * MIN_HELD_OUT}, or hold none out "
            "with --held-out-share 0"
        )
    return max(asked, float(np.nextafter(splits[MIN_HELD_OUT - 1], 1.0)))


def held_out_rows(store: TokenStore, held_out_share: float, row_length: int, max_rows: int) -> dict[int, Batch]:
    """Up to `max_rows` rows of each stream that has held-out documents, by stream number.

    Documents are concatenated in order of their split number and cut at row ends; the last row may be padded. The order
    derives from document ids, so an original and its rewrites are held out together and in the same order.
    """
    batches = {}
    for stream in range(len(store.streams)):
        documents = np.flatnonzero((store.stream_D == stream) & (store.split_D < held_out_share) & (store.length_D > 1))
        rows = _fill(documents[np.argsort(store.split_D[documents], kind="stable")], store, row_length, max_rows)
        if rows:
            batches[stream] = assemble(store, rows, row_length)
    return batches


def _fill(documents: np.ndarray, store: TokenStore, row_length: int, max_rows: int) -> list[list[Piece]]:
    rows: list[list[Piece]] = []
    n_free = 0
    for document in map(int, documents):
        at, end = 0, int(store.length_D[document]) - 1
        while at < end:
            if not n_free:
                if len(rows) == max_rows:
                    return rows
                rows.append([])
                n_free = row_length
            piece = Piece(document, at, min(end, at + n_free), 0)
            rows[-1].append(piece)
            n_free -= piece.end - piece.start
            at = piece.end
    return rows
