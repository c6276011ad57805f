"""A set of strings kept on disk, so that memory does not grow with the corpus."""

import sqlite3
import tempfile


class SeenNames:
    """A set of strings in a temporary database, deleted at the end of the `with` block."""

    def __enter__(self) -> "SeenNames":
        self._folder = tempfile.TemporaryDirectory(prefix="palimpsest-seen-")
        self._database = sqlite3.connect(f"{self._folder.name}/seen.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")
        return self

    def add(self, name: str) -> bool:
        """Add `name`; returns whether it was in the set before."""
        return self._database.execute("INSERT OR IGNORE INTO names VALUES (?)", (name,)).rowcount == 0

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._folder.cleanup()
