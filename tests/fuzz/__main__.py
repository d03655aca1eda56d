"""``python -m tests.fuzz``: cases at length, in processes of their own; what was seen goes to docs/figures/fuzz.md."""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from tests.fuzz.batches import Seen, run_batch
from tests.fuzz.cases import CPU_LIMIT_S, KINDS, MEMORY_LIMIT_BYTES, SHARES

PAGE = Path(__file__).parents[2] / "docs" / "figures" / "fuzz.md"
MIB = 1 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="of the first case of each kind")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only this one; may be repeated")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    given = parser.parse_args()
    kinds = given.kind or list(KINDS)
    whole = sum(SHARES.get(kind, 1) for kind in kinds)
    counts = {kind: -(-given.cases * SHARES.get(kind, 1) // whole // given.jobs) for kind in kinds}
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        work = [
            (kind, given.seed + part * count, count) for kind, count in counts.items() for part in range(given.jobs)
        ]
        seen = list(pool.map(run_batch, *zip(*work, strict=True)))
    for one in seen:
        for failure in one.failures[:5]:
            print(failure)  # noqa: T201 - a program
    text = written(kinds, seen)
    print(text)  # noqa: T201
    if given.write:
        PAGE.write_text(text, encoding="utf-8")
    return int(any(one.failures or one.grown_bytes >= MEMORY_LIMIT_BYTES for one in seen))


def written(kinds: list[str], seen: list[Seen]) -> str:
    total = sum(one.cases for one in seen)
    head = f"""# Fuzzing

{total:,} cases of {len(kinds)} kinds on {datetime.now(UTC):%Y-%m-%d}, by `make fuzz`.

A case changes one or two places of something that another party may send to a value from the edge of its type, as the
schema allows. It fails where a check ends in anything but rows or an error of this package, where a party is named
that cannot have made the change, after {CPU_LIMIT_S} s of CPU time, or where the process grows by
{MEMORY_LIMIT_BYTES // MIB:,} MiB. The gate runs a few cases of each kind.

| Kind | Cases | Failures | Longest case, CPU s | Growth of the process, MiB |
|---|---|---|---|---|
"""
    return head + "".join(_row(kind, [one for one in seen if one.kind == kind]) for kind in kinds)


def _row(kind: str, parts: list[Seen]) -> str:
    cases, failures = sum(one.cases for one in parts), sum(len(one.failures) for one in parts)
    longest, grown = max(one.longest_s for one in parts), max(one.grown_bytes for one in parts) // MIB
    return f"| {kind} | {cases:,} | {failures} | {longest:.1f} | {grown} |\n"


if __name__ == "__main__":
    raise SystemExit(main())
