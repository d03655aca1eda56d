"""The owner's ledger: what a data set has already spent, remembered across crashes and jobs.

Job: refuse a release over the budget, a second label map and a second response of the labels, and give a release its
number before any noise is drawn. Non-jobs: computing epsilon (``accounting``), the file's format (``_ledger_file``),
storing secrets.

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
    LedgerEntry,
    ReleaseRequest,
    Status,
    locked,
    read_book,
    write_book,
)
from clicooper.privacy.accounting import GaussianRelease, compose

if TYPE_CHECKING:
    from pathlib import Path

    from clicooper.types import Digest

__all__ = ["Ledger", "LedgerEntry", "ReleaseRequest", "Status"]

_SLACK = 1e-9
"""Relative room over the budget for sigma and epsilon, which are both rounded away from zero."""


@dataclass(frozen=True)
class Ledger:
    """One data set's ledger. It holds no state but its path: every operation reads the file.

    Args:
        path: the JSON file.
        budget_epsilon: most that all releases together may spend.
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
        with locked(path):
            if not path.exists():
                ledger._write(())
            ledger._read()
        return ledger

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, oldest first.

        Raises:
            RunFolderError: a missing or damaged ledger.
        """
        return self._read()

    def spent_epsilon(self) -> float:
        """The exact composition of all entries, reserved ones included, at the ledger's delta, and the response's."""
        return self._total(self.entries())

    def reserve(self, request: ReleaseRequest) -> LedgerEntry:
        """Reserves a number for the release; call it before drawing noise.

        The content of an earlier entry, reserved or published, gets that entry back: the same release again.

        Raises:
            PrivacyBudgetError: over the budget, a second label map or response, or another data set.
            RunFolderError: a missing, damaged or unwritable ledger.
        """
        with locked(self.path):
            entries = self._read()
            self._refuse_foreign(request, entries)
            for entry in entries:
                if entry.content == request.content:
                    return self._resumed(entry, request)
            entry = LedgerEntry(**vars(request), number=len(entries))
            total = self._total((*entries, entry))
            if total > self.budget_epsilon * (1 + _SLACK):
                raise PrivacyBudgetError(
                    f"releases of this data set would add up to epsilon {total:.6g}, "
                    f"over the budget of {self.budget_epsilon:g}",
                    hint="use the release that exists; a budget is not raised after the fact",
                )
            self._write((*entries, entry))
        return entry

    def publish(self, number: int, release: Digest) -> LedgerEntry:
        """Marks a reserved release as published; publishing the same digest again changes nothing.

        Raises:
            PrivacyBudgetError: no such reservation, or another digest under the same number.
            RunFolderError: a missing, damaged or unwritable ledger.
        """
        with locked(self.path):
            entries = self._read()
            if not 0 <= number < len(entries):
                raise PrivacyBudgetError(f"release {number} was never reserved", hint="reserve before drawing noise")
            if entries[number].status is Status.PUBLISHED and entries[number].release != release:
                raise PrivacyBudgetError(
                    f"release {number} was already published with other bytes",
                    hint="publish the first release again; a second noise draw is a second release",
                )
            entry = replace(entries[number], status=Status.PUBLISHED, release=release)
            self._write((*entries[:number], entry, *entries[number + 1 :]))
        return entry

    def _total(self, entries: tuple[LedgerEntry, ...]) -> float:
        noisy = [GaussianRelease(one.sigma, one.sensitivity) for one in entries if one.mechanism == "gaussian"]
        pure = sum(entry.epsilon for entry in entries if entry.mechanism == "privunit")
        return compose(noisy, self.delta) + pure + max((entry.label_epsilon or 0.0 for entry in entries), default=0.0)

    def _refuse_foreign(self, request: ReleaseRequest, entries: tuple[LedgerEntry, ...]) -> None:
        if any(entry.dataset != request.dataset for entry in entries):
            raise PrivacyBudgetError(
                "this ledger belongs to another data set",
                hint="an edited copy of the same records shares their budget; other records need their own ledger",
            )
        for entry in entries:
            if entry.label_epsilon != request.label_epsilon:
                raise PrivacyBudgetError(
                    f"this data set's labels were released {_words(entry.label_epsilon)}, "
                    f"and cannot be released again {_words(request.label_epsilon)}",
                    hint="keep label_epsilon as it was: a second response to the same labels adds to the first",
                )
        if any(entry.label_map != request.label_map for entry in entries):
            raise PrivacyBudgetError(
                "this data set already has another label map",
                hint="use the same master secret, gamma and m: two maps over the same records reveal both",
            )

    @staticmethod
    def _resumed(entry: LedgerEntry, request: ReleaseRequest) -> LedgerEntry:
        if any(getattr(entry, field.name) != getattr(request, field.name) for field in fields(ReleaseRequest)):
            raise PrivacyBudgetError(
                f"release {entry.number} has the same content with other numbers", hint="build both from ReleaseParams"
            )
        return entry

    def _read(self) -> tuple[LedgerEntry, ...]:
        book = read_book(self.path)
        if (book.budget_epsilon, book.delta) != (self.budget_epsilon, self.delta):
            raise PrivacyBudgetError(
                f"{self.path} was created for epsilon {book.budget_epsilon:g} at delta {book.delta:g}, "
                f"not {self.budget_epsilon:g} at {self.delta:g}",
                hint="open it with the budget it was created with",
            )
        return book.entries

    def _write(self, entries: tuple[LedgerEntry, ...]) -> None:
        write_book(self.path, Book(self.budget_epsilon, self.delta, entries))


def _words(label_epsilon: float | None) -> str:
    return "as they are" if label_epsilon is None else f"with label epsilon {label_epsilon:g}"
