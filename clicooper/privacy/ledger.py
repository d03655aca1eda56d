"""The owner's ledger: what a data set has already spent, remembered across crashes and jobs.

Job: refuse a release or a head's training over the budget, a second label map and a second response of the labels, and
note each before any noise is drawn; a release gets its number. Non-jobs: computing epsilon (``accounting``,
``composition``), the file's format (``_ledger_file``), storing secrets.

One file belongs to one data set. A reservation is on disk before ``reserve`` returns. After a crash the same
content gets the same number again, hence the same derived keys and the same bytes: it costs nothing twice. A
reservation that is never published still counts, since nobody can prove that its bytes stayed at home.

Releases by PrivUnit are pure, and their epsilons are added to the composition of the Gaussian ones. The total is for
neighbours that differ in one record's input and label. Its label goes into the one label map alone, through one
randomised response of pure epsilon_y; every release keeps its guarantee whatever that map is. So epsilon_y is added
once: for each outcome of the response the releases lose epsilon_x but for a share delta, and the outcomes themselves
lose epsilon_y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from clicooper.errors import PrivacyBudgetError, PrivacyClaimError
from clicooper.privacy._ledger_file import (
    Book,
    HeadSpending,
    LedgerEntry,
    ReleaseRequest,
    Status,
    lock_file,
    read_book,
    write_book,
)
from clicooper.privacy.accounting import GaussianRelease
from clicooper.privacy.composition import dpsgd_epsilon, total_epsilon

if TYPE_CHECKING:
    from pathlib import Path

    from clicooper.types import Digest

__all__ = ["HeadSpending", "Ledger", "LedgerEntry", "ReleaseRequest", "Status"]

_SLACK = 1e-9
"""Relative room over the budget for sigma and epsilon, which are both rounded away from zero."""


@dataclass(frozen=True)
class Ledger:
    """One data set's ledger. It holds no state but its path: every operation reads the file.

    Args:
        path: the JSON file.
        budget_epsilon: most that all heads and releases together may spend.
        delta: the delta at which the total is stated.
    """

    path: Path
    budget_epsilon: float
    delta: float

    @classmethod
    def open(cls, path: Path, budget_epsilon: float, delta: float) -> Ledger:
        """Opens the ledger, or creates it empty (folder 0700, file 0600).

        Raises:
            PrivacyBudgetError: the ledger was created with another budget or delta.
            PrivacyClaimError: a budget or delta out of range.
            RunFolderError: a damaged or unwritable ledger.
        """
        if not (0 < budget_epsilon < math.inf and 0 < delta < 1):
            raise PrivacyClaimError(
                f"no budget of epsilon {budget_epsilon} at delta {delta}", hint="choose both above 0"
            )
        ledger = cls(path, float(budget_epsilon), float(delta))
        with lock_file(path):
            if not path.exists():
                ledger._write(Book(ledger.budget_epsilon, ledger.delta, ()))
            ledger._read()
        return ledger

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, oldest first.

        Raises:
            RunFolderError: a missing or damaged ledger.
        """
        return self._read().entries

    def heads(self) -> tuple[HeadSpending, ...]:
        """Trainings by DP-SGD, oldest first; raises as ``entries``."""
        return self._read().heads

    def spent_epsilon(self) -> float:
        """The composition of all heads and entries at the ledger's delta, reserved ones too, and the response's.

        It is exact without heads.
        """
        return self._total(self._read())

    def reserve_head(self, spending: HeadSpending) -> None:
        """Notes a training; call it before its first draw. The same training again draws the same and is free.

        Raises:
            PrivacyClaimError: an epsilon below what the training spends on a replaced record.
            PrivacyBudgetError: over the budget, or another data set.
            RunFolderError: a missing, damaged or unwritable ledger.
        """
        _refuse_small_claim(spending)
        with lock_file(self.path):
            book = self._read()
            self._refuse_other_data(spending.dataset, book)
            if spending in book.heads:
                return
            if any(spending.content == head.content for head in book.heads):
                raise PrivacyBudgetError("this head was trained with other numbers", hint="train it as it was reserved")
            self._spend(replace(book, heads=(*book.heads, spending)))

    def reserve(self, request: ReleaseRequest) -> LedgerEntry:
        """Reserves a number for the release; call it before drawing noise.

        The content of an earlier entry, reserved or published, gets that entry back: the same release again.

        Raises:
            PrivacyBudgetError: over the budget, a second label map or response, or another data set.
            RunFolderError: a missing, damaged or unwritable ledger.
        """
        with lock_file(self.path):
            book = self._read()
            self._refuse_other_data(request.dataset, book)
            self._refuse_other_map(request, book)
            for entry in book.entries:
                if entry.content == request.content:
                    return self._resume(entry, request)
            entry = LedgerEntry(**vars(request), number=len(book.entries))
            self._spend(replace(book, entries=(*book.entries, entry)))
        return entry

    def publish(self, number: int, release: Digest) -> LedgerEntry:
        """Marks a reserved release as published; publishing the same digest again changes nothing.

        Raises:
            PrivacyBudgetError: no such reservation, or another digest under the same number.
            RunFolderError: a missing, damaged or unwritable ledger.
        """
        with lock_file(self.path):
            book = self._read()
            entries = book.entries
            if not 0 <= number < len(entries):
                raise PrivacyBudgetError(f"release {number} was never reserved", hint="reserve before drawing noise")
            if entries[number].status is Status.PUBLISHED and entries[number].release != release:
                raise PrivacyBudgetError(
                    f"release {number} was already published with other bytes",
                    hint="publish the first release again; a second noise draw is a second release",
                )
            entry = replace(entries[number], status=Status.PUBLISHED, release=release)
            self._write(replace(book, entries=(*entries[:number], entry, *entries[number + 1 :])))
        return entry

    def _spend(self, book: Book) -> None:
        """Writes a book that keeps to the budget."""
        total = self._total(book)
        if total > self.budget_epsilon * (1 + _SLACK):
            raise PrivacyBudgetError(
                f"releases of this data set would add up to epsilon {total:.6g}, "
                f"over the budget of {self.budget_epsilon:g}",
                hint="use the release that exists; a budget is not raised after the fact",
            )
        self._write(book)

    def _total(self, book: Book) -> float:
        gaussian = [entry for entry in book.entries if entry.mechanism == "gaussian"]
        releases = [GaussianRelease(entry.sigma, entry.sensitivity) for entry in gaussian]
        pure = sum(entry.epsilon for entry in book.entries if entry.mechanism == "privunit")
        response = max((entry.label_epsilon or 0.0 for entry in book.entries), default=0.0)
        return total_epsilon([head.mechanism for head in book.heads], releases, self.delta) + pure + response

    @staticmethod
    def _refuse_other_data(dataset: Digest, book: Book) -> None:
        if {dataset} != {dataset, *(known.dataset for known in book.entries), *(head.dataset for head in book.heads)}:
            raise PrivacyBudgetError(
                "this ledger belongs to another data set",
                hint="an edited copy of the same records shares their budget; other records need their own ledger",
            )

    @staticmethod
    def _refuse_other_map(request: ReleaseRequest, book: Book) -> None:
        for entry in book.entries:
            if entry.label_epsilon != request.label_epsilon:
                raise PrivacyBudgetError(
                    f"this data set's labels were released {_words(entry.label_epsilon)}, "
                    f"and cannot be released again {_words(request.label_epsilon)}",
                    hint="keep label_epsilon as it was: a second response to the same labels adds to the first",
                )
        if any(entry.label_map != request.label_map for entry in book.entries):
            raise PrivacyBudgetError(
                "this data set already has another label map",
                hint="use the same master secret, gamma and m: two maps over the same records reveal both",
            )

    @staticmethod
    def _resume(entry: LedgerEntry, request: ReleaseRequest) -> LedgerEntry:
        if any(getattr(entry, field.name) != getattr(request, field.name) for field in fields(ReleaseRequest)):
            raise PrivacyBudgetError(
                f"release {entry.number} has the same content with other numbers", hint="build both from ReleaseParams"
            )
        return entry

    def _read(self) -> Book:
        book = read_book(self.path)
        if (book.budget_epsilon, book.delta) != (self.budget_epsilon, self.delta):
            raise PrivacyBudgetError(
                f"{self.path} was created for epsilon {book.budget_epsilon:g} at delta {book.delta:g}, "
                f"not {self.budget_epsilon:g} at {self.delta:g}",
                hint="open it with the budget it was created with",
            )
        return book

    def _write(self, book: Book) -> None:
        write_book(self.path, book)


def _words(label_epsilon: float | None) -> str:
    return "as they are" if label_epsilon is None else f"with label epsilon {label_epsilon:g}"


def _refuse_small_claim(spending: HeadSpending) -> None:
    """Refuses an accountant's epsilon for an added or removed record, and anything else that is too little."""
    due = dpsgd_epsilon([spending.mechanism], spending.delta)
    if spending.epsilon * (1 + _SLACK) < due:
        raise PrivacyClaimError(
            f"the head's training spends epsilon {due:.4g} on a replaced record, not {spending.epsilon:.4g}",
            hint="the add/remove epsilon of an accountant is not that of a replaced record: use dpsgd_epsilon",
        )
