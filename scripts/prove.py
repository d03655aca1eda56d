#!/usr/bin/env python3
"""Runs halmos on the committed bytecode and notes what it proved in `tests/contract/proofs.json`.

Takes the arguments of halmos, `--proof-timeout`, and `--fresh`, without which it leaves out what is noted as proven.
Not proven is what takes too long, meets a loop that it does not follow to the end, or a call that never succeeds. The
notes hold for one code, without the hash of its sources that nothing executes, and one text of the proofs; of any other
they are forgotten. Runs in `.venv-analysis`, under
the foundry profile `prove`.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import halmos.__main__ as halmos
import z3
from halmos import sevm

ROOT = Path(__file__).resolve().parent.parent
ARTIFACT = ROOT / "clicooper" / "chain" / "artifacts" / "CliCooper.json"
# Where the proofs look the code up, in the form in which halmos reads it.
CODE = ROOT / "build" / "proven" / "CliCooper.json"
STATEMENTS = ROOT / "tests" / "contract" / "symbolic"
NOTES = ROOT / "tests" / "contract" / "proofs.json"
PROVEN = "proven"


class TookTooLong(BaseException):
    """Not an `Exception`, which halmos might take for one of its own."""


class Notes:
    """What became of each proof, by "CONTRACT.FUNCTION"; kept while code and statements are the same."""

    def __init__(self, code: str) -> None:
        texts = [p.read_bytes() for p in sorted(STATEMENTS.glob("*.sol"))]
        self._about = {"code": _digest(_executed(code).encode()), "statements": _digest(b"".join(texts))}
        self._of_this_run: list[str] = []

    def add(self, proof: str, result: str) -> None:
        """Keeps one result, at once, beside those of earlier runs and of one at the same time."""
        self._of_this_run.append(result)
        results = dict(sorted({**self._known(), proof: result}.items()))
        draft = NOTES.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({**self._about, "results": results}, indent=1) + "\n")
        draft.replace(NOTES)

    def proven(self, proof: str) -> bool:
        """Whether this or an earlier run proved it."""
        return self._known().get(proof) == PROVEN

    def _known(self) -> dict[str, str]:
        old = json.loads(NOTES.read_text()) if NOTES.exists() else {}
        results: dict[str, str] = old.pop("results", {})
        return results if old == self._about else {}

    @property
    def all_proven(self) -> bool:
        """Whether this run proved something, and all that it tried."""
        return set(self._of_this_run) == {PROVEN}


def watched(run_test: Callable[[Any], Any], notes: Notes, limit_s: int) -> Callable[[Any], Any]:
    """`run_test` of halmos for what is not proven yet, within so many seconds, its result noted."""

    def run(ctx: Any) -> Any:
        proof = f"{ctx.contract_ctx.name}.{ctx.info.name}"
        if notes.proven(proof):
            notes.add(proof, PROVEN)
            return halmos.TestResult(ctx.info.sig, halmos.PASS)
        # Again every second, should something on the way take the first one for its own.
        signal.setitimer(signal.ITIMER_REAL, limit_s, 1)
        try:
            result = run_test(ctx)
        except TookTooLong:
            print(f"[TIMEOUT] {ctx.info.sig} (not done after {limit_s} s)")
            result = halmos.TestResult(ctx.info.sig, halmos.Exitcode.TIMEOUT.value)
        except Exception:  # an interruption is none, and says nothing of the proof
            notes.add(proof, "error")
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        notes.add(proof, _said(result))
        return result

    return run


def _said(result: Any) -> str:
    if result.exitcode == halmos.PASS and result.num_bounded_loops:
        return "loops not followed to the end"
    return {
        halmos.Exitcode.PASS: PROVEN,
        halmos.Exitcode.COUNTEREXAMPLE: "refuted",
        halmos.Exitcode.TIMEOUT: "timed out",
        halmos.Exitcode.REVERT_ALL: "nothing succeeds",
    }.get(halmos.Exitcode(result.exitcode), "error")


def _too_long(_signal: int, _frame: Any) -> None:
    raise TookTooLong


def _mended(declare: Callable[..., Any]) -> Callable[..., Any]:
    """As z3's, but sha256 takes as many bits as its name says bytes: halmos 0.3.3 counts bytes there, and stops."""

    def function(name: str, *sorts: Any) -> Any:
        if name.startswith("f_sha256_"):
            sorts = (z3.BitVecSort(8 * int(name.removeprefix("f_sha256_"))), *sorts[1:])
        return declare(name, *sorts)

    return function


def _executed(code: str) -> str:
    """The code without its metadata: CBOR at its end, whose length is in the last two bytes."""
    return code[: -2 * (int(code[-4:], 16) + 2)]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> int:
    """Runs the command; 0 if all that was tried is proven, else not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None, add_help=False)
    parser.add_argument("--proof-timeout", type=int, default=600, help="seconds for one proof")
    parser.add_argument("--fresh", action="store_true", help="prove everything again")
    options, others = parser.parse_known_args()
    if options.fresh:
        NOTES.unlink(missing_ok=True)
    code = json.loads(ARTIFACT.read_text())["bytecode"]
    CODE.parent.mkdir(parents=True, exist_ok=True)
    CODE.write_text(json.dumps({"bytecode": {"object": code}}))
    notes = Notes(code)
    sevm.Function = _mended(sevm.Function)
    halmos.run_test = watched(halmos.run_test, notes, options.proof_timeout)
    signal.signal(signal.SIGALRM, _too_long)
    failed = halmos._main(others).exitcode
    return failed or int(not notes.all_proven)


if __name__ == "__main__":
    sys.exit(main())
