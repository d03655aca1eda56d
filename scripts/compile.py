#!/usr/bin/env python3
"""Rebuilds the committed contract artifact, or with --check compares it byte for byte.

Uses the solc named by SOLC_BINARY where set, else solcjs from ``npm ci`` through ``scripts/solc``.
"""

import argparse
import os
import sys
from pathlib import Path

from clicooper.chain.compile import ARTIFACT_NAME, compare, compile_contracts, write
from clicooper.errors import CliCooperError

ROOT = Path(__file__).resolve().parent.parent
ARTIFACT = ROOT / "clicooper" / "chain" / "artifacts" / ARTIFACT_NAME


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0, 1 if the artifact differs, 2 if it cannot be built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare with the committed artifact, write nothing")
    options = parser.parse_args(argv)
    solc = Path(os.environ.get("SOLC_BINARY") or ROOT / "scripts" / "solc")
    try:
        artifact = compile_contracts(ROOT, solc)
        (compare if options.check else write)(artifact, ARTIFACT)
    except CliCooperError as e:
        print(f"error: {e.diagnostics()}", file=sys.stderr)
        return e.exit_code
    print(f"{ARTIFACT.name}: {'matches its sources' if options.check else 'written'} ({artifact.compiler})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
