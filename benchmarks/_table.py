"""How every benchmark reports: rows with a value, what it is compared with, and whether the stated target is met."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

__all__ = ["Row", "report"]


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        against: what was measured beside it in the same run, in the same unit; None if nothing was.
        target: largest value (or ratio, where there is one) that the project aims at; None if there is none.
    """

    name: str
    value: float
    unit: str
    against: float | None = None
    target: float | None = None

    @property
    def ratio(self) -> float | None:
        """Value over what it is measured against."""
        return None if self.against is None else round(self.value / self.against, 4)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        return (self.value if self.ratio is None else self.ratio) <= self.target


def report(rows: Sequence[Row]) -> None:
    """Prints the rows: one JSON object with ``--json``, else a table."""
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    if "--json" in sys.argv:
        objects = [asdict(row) | {"ratio": row.ratio, "met": row.met} for row in rows]
        print(json.dumps({"ok": True, "machine": machine, "rows": objects}, indent=2))
        return
    print(f"Python {machine['python']} on {machine['machine']}, {machine['cores']} cores")
    for row in rows:
        beside = "" if row.against is None else f"  against {row.against:g} (ratio {row.ratio:g})"
        aim = "" if row.target is None else f"  target {row.target:g}: {'met' if row.met else 'missed'}"
        print(f"{row.name:<44}{row.value:>12g} {row.unit}{beside}{aim}")
