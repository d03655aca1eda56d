"""What is kept by name beside jobs: roots that a person, or a command, adds to a pin set and takes from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiformats import CID

from clicooper.errors import UsageError
from clicooper.storage.base import Store
from clicooper.storage.local import LocalStore
from clicooper.storage.pins.pin_sets import PinSet, PinSets, texts

__all__ = ["MANUAL", "add_and_pin", "pin_roots", "pin_sets", "unpin_roots"]

MANUAL = "manual"
"""The pin set of what a person keeps by hand."""


def pin_sets(store: LocalStore) -> PinSets:
    """The pin sets of a store: beside it, so that whoever finds one finds the other."""
    return PinSets(store.root.parent / "pins")


def add_and_pin(sets: PinSets, store: Store, path: Path) -> CID:
    """Keeps a file under the sets' lock: a clean-up must not come between its blocks and their pin."""
    added: list[CID] = []

    def change(old: PinSet) -> PinSet:
        added.append(store.put_file(path))
        return old.with_roots(added)

    sets.change(MANUAL, change)
    return added[0]


def pin_roots(store: LocalStore, roots: Sequence[CID], name: str = MANUAL) -> PinSet:
    """Adds roots to a pin set; harmless before their blocks are there, since clean-ups then refuse."""
    return pin_sets(store).add(name, roots)


def unpin_roots(store: LocalStore, roots: Sequence[CID], name: str) -> PinSet:
    """Takes roots out of a pin set.

    Raises:
        UsageError: the set has not all of them; nothing is changed.
    """
    return pin_sets(store).change(name, lambda old: _without_roots(old, roots))


def _without_roots(pin_set: PinSet, roots: Sequence[CID]) -> PinSet:
    for text in texts(roots):
        if text not in pin_set.roots:
            raise UsageError(f"pin set {pin_set.name} has no root {text}", hint="`store pin` lists the sets")
    return pin_set.model_copy(update={"roots": tuple(t for t in pin_set.roots if t not in texts(roots))})
