"""The index's file: pages of blocks that follow on each other without a gap, and the log entries in them.

SQLite in WAL mode, one transaction a page: a process that is killed at any moment leaves whole pages, from the first
block on. That no page is missing is a rule of the database itself, not a habit of its writer. What the entries mean
is not known here.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from clicooper.chain.rpc.messages import Header, Log
from clicooper.errors import StorageError

__all__ = ["IndexDb", "TxRow"]

FORMAT = "CliCooper/1/index"
BUSY_TIMEOUT_S = 30

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pages (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL UNIQUE CHECK (last >= first));
CREATE TRIGGER IF NOT EXISTS pages_are_contiguous BEFORE INSERT ON pages
WHEN NEW.first != (SELECT COALESCE((SELECT MAX(last) + 1 FROM pages), (SELECT CAST(value AS INTEGER) FROM meta
    WHERE key = 'first_block')))
BEGIN SELECT RAISE(ABORT, 'gap'); END;
CREATE TRIGGER IF NOT EXISTS pages_go_from_the_end BEFORE DELETE ON pages
WHEN OLD.last != (SELECT MAX(last) FROM pages)
BEGIN SELECT RAISE(ABORT, 'gap'); END;
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, timestamp INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS logs (
    block INTEGER NOT NULL REFERENCES blocks (number), log_index INTEGER NOT NULL, tx_hash BLOB NOT NULL,
    job INTEGER NOT NULL, topics BLOB NOT NULL, data BLOB NOT NULL, PRIMARY KEY (block, log_index)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS logs_of_job ON logs (job, block, log_index);
CREATE TABLE IF NOT EXISTS txs (hash BLOB PRIMARY KEY, sender BLOB NOT NULL, gas INTEGER NOT NULL) WITHOUT ROWID;
"""


class TxRow(NamedTuple):
    """Who sent a transaction, 20 bytes, and what gas it used."""

    tx_hash: bytes
    sender: bytes
    gas_used: int


class IndexDb:
    """One index file, opened or made.

    Args:
        path: the file; its folder is made.
        identity: what the index is about; a file about something else is refused.
        first_block: where its coverage starts; None takes what the file says, or 0 for a new one.

    Raises:
        StorageError: the file cannot be used, is damaged, or belongs to something else.
    """

    def __init__(self, path: Path, identity: dict[str, str], first_block: int | None = None) -> None:
        self.path = path
        with self._storing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            start = {} if first_block is None else {"first_block": str(first_block)}
            self._claim({"format": FORMAT} | identity | start)
            self._check_coverage()

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    @property
    def first_block(self) -> int:
        """Where the coverage starts."""
        return self._number("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'first_block'") or 0

    @property
    def last_block(self) -> int | None:
        """The last block that is read; None before the first page."""
        return self._number("SELECT MAX(last) FROM pages")

    @property
    def final_block(self) -> int | None:
        """The last block that may not change any more."""
        return self._number("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'final_block'")

    def add_page(self, first: int, last: int, headers: Iterable[Header], logs: Iterable[Log], final_block: int) -> None:
        """Adds the page that follows on the last one, whole or not at all.

        Raises:
            StorageError: it does not follow, or the file cannot be written.
        """
        with self._storing(), self._transaction():
            self._db.execute("INSERT INTO pages VALUES (?, ?)", (first, last))
            rows = ((header.number, header.hash, header.timestamp) for header in headers)
            self._db.executemany("INSERT INTO blocks VALUES (?, ?, ?)", rows)
            entries = ((log.block, log.log_index, log.tx_hash, log.job, log.topics, log.data) for log in logs)
            self._db.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)", entries)
            self._db.execute(
                "INSERT INTO meta VALUES ('final_block', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1"
                " WHERE CAST(value AS INTEGER) < CAST(?1 AS INTEGER)",
                (str(final_block),),
            )

    def roll_back(self, fork: int) -> None:
        """Forgets every block after ``fork``, one whose header is kept."""
        with self._storing(), self._transaction():
            for table, column in (("logs", "block"), ("blocks", "number")):
                self._db.execute(f"DELETE FROM {table} WHERE {column} > ?", (fork,))  # noqa: S608 - names of ours
            firsts = self._db.execute("SELECT first FROM pages WHERE first > ? ORDER BY first DESC", (fork,)).fetchall()
            self._db.executemany("DELETE FROM pages WHERE first = ?", firsts)
            self._db.execute("UPDATE pages SET last = ?1 WHERE last > ?1", (fork,))

    def header(self, number: int) -> Header | None:
        """What is kept of a block; None if nothing is."""
        row = self._db.execute("SELECT number, hash, timestamp FROM blocks WHERE number = ?", (number,)).fetchone()
        return None if row is None else Header(*row)

    def headers_down(self) -> Iterator[Header]:
        """Every block that is kept, the newest first."""
        numbers = self._db.execute("SELECT number, hash, timestamp FROM blocks ORDER BY number DESC")
        return (Header(*row) for row in numbers)

    def jobs(self) -> tuple[int, ...]:
        """The numbers of all jobs that have an entry."""
        return tuple(row[0] for row in self._db.execute("SELECT DISTINCT job FROM logs ORDER BY job"))

    def logs_of(self, job: int) -> Iterator[tuple[Log, Header]]:
        """A job's entries in chain order, each with its block."""
        query = (
            "SELECT block, log_index, tx_hash, topics, data, number, hash, timestamp"
            " FROM logs JOIN blocks ON number = block WHERE job = ? ORDER BY block, log_index"
        )
        return ((Log(*row[:5]), Header(*row[5:])) for row in self._db.execute(query, (job,)))

    def bare_logs_of(self, job: int) -> Iterator[tuple[bytes, bytes]]:
        """Topics and data of a job's entries in chain order."""
        return iter(self._db.execute("SELECT topics, data FROM logs WHERE job = ? ORDER BY block, log_index", (job,)))

    def blocks_without_txs(self, job: int) -> list[Header]:
        """The blocks of a job's entries of which some transaction is not kept yet."""
        query = (
            "SELECT DISTINCT number, blocks.hash, timestamp FROM logs JOIN blocks ON number = block"
            " LEFT JOIN txs ON txs.hash = tx_hash WHERE job = ? AND txs.hash IS NULL ORDER BY number"
        )
        return [Header(*row) for row in self._db.execute(query, (job,))]

    def logs_in(self, block: int) -> list[Log]:
        """All entries of one block."""
        query = "SELECT block, log_index, tx_hash, topics, data FROM logs WHERE block = ?"
        return [Log(*row) for row in self._db.execute(query, (block,))]

    def add_txs(self, rows: Sequence[TxRow]) -> None:
        """Keeps transactions."""
        with self._storing(), self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO txs VALUES (?, ?, ?)", rows)

    def txs_of(self, job: int) -> dict[bytes, TxRow]:
        """The kept transactions of a job's entries, by hash."""
        query = "SELECT DISTINCT hash, sender, gas FROM logs JOIN txs ON hash = tx_hash WHERE job = ?"
        return {row[0]: TxRow(*row) for row in self._db.execute(query, (job,))}

    def _number(self, query: str) -> int | None:
        with self._storing():
            row = self._db.execute(query).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def _claim(self, identity: dict[str, str]) -> None:
        """Writes what a new file is about, and compares with what an old one says."""
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", ({"first_block": "0"} | identity).items())
            found = dict(self._db.execute("SELECT key, value FROM meta"))
        other = [key for key, value in identity.items() if found[key] != value]
        if other:
            what = ", ".join(f"{key} {found[key]}, not {identity[key]}" for key in other)
            raise StorageError(f"the index {self.path} is of {what}", hint="name another file for another index")

    def _check_coverage(self) -> None:
        """The trigger keeps gaps out; this finds what somebody did to the file behind its back."""
        query = "SELECT first, last, LAG(last) OVER (ORDER BY first) FROM pages"
        start = self.first_block
        for first, _, before in self._db.execute(query):
            if first != (start if before is None else before + 1):
                raise StorageError(f"the index {self.path} has a gap before block {first}", hint=self._remove)

    @property
    def _remove(self) -> str:
        return "remove the file: the index is built again from the node"

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as e:
            hint = "another process may fill it too: run the command again"
            raise StorageError(f"the index {self.path} refuses a page: {e}", hint=hint) from e
        except sqlite3.DatabaseError as e:
            raise StorageError(f"the index {self.path} cannot be used: {e}", hint=self._remove) from e
        except OSError as e:
            raise StorageError(f"cannot open the index {self.path}: {e.strerror}", hint="choose another place") from e
