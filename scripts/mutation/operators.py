"""Lists the mutants that the operators of slither-mutate make of the contracts; tests none of them.

slither-mutate's own runner cleans the build before each mutant and changes the sources in place: here that would take
ten times as long, and an interruption would leave a mutant in the working tree. Its operators are used as they are.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path

from slither import Slither
from slither.core.declarations import Contract
from slither.tools.mutator.mutators import all_mutators
from slither.tools.mutator.mutators.abstract_mutator import AbstractMutator

from mutation.mutant import Mutant

__all__ = ["generate"]

UNTOUCHED = ("interfaces", "types")


def generate(root: Path) -> list[Mutant]:
    """All distinct mutants of `contracts/` but interfaces and types, in the order of the sources.

    Compiles with the `forge` that PATH finds. The first operator to make a change gets it.
    """
    slither = Slither(str(root), skip_clean=True)
    found: dict[tuple[str, int, int, str], Mutant] = {}
    for contract in sorted(slither.contracts, key=lambda c: (c.source_mapping.filename.absolute, c.name)):
        path = Path(contract.source_mapping.filename.absolute)
        if contract.is_interface or not path.is_relative_to(root / "contracts") or path.parent.name in UNTOUCHED:
            continue
        for mutant in _of_contract(contract, root):
            found.setdefault(mutant.key, mutant)
    return sorted(found.values(), key=lambda m: (m.path, m.start, m.end, m.operator, m.new))


def _operators() -> list[type[AbstractMutator]]:
    members = (getattr(all_mutators, name) for name in sorted(dir(all_mutators)))
    return [m for m in members if inspect.isclass(m) and issubclass(m, AbstractMutator) and m.NAME]


def _of_contract(contract: Contract, root: Path) -> Iterator[Mutant]:
    for operator in _operators():
        made = operator(contract.compilation_unit, 0, "", "", contract, None, False, root, [])
        # The only way to an operator's changes without its runner; the version of slither is pinned.
        patches = made._mutate().get("patches", {})
        for file, changes in patches.items():
            for change in changes:
                yield _mutant(operator.NAME, Path(file), root, change)


def _mutant(operator: str, file: Path, root: Path, change: dict[str, str | int]) -> Mutant:
    start, end = int(change["start"]), int(change["end"])
    old = file.read_bytes()[start:end].decode()
    new, line = str(change["new_string"]), int(change["line_number"])
    return Mutant(operator, file.relative_to(root).as_posix(), start, end, old, new, line)
