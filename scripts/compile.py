#!/usr/bin/env python3
"""Rebuilds the committed contract artifacts, or with --check compares them byte for byte.

Uses the solc named by SOLC_BINARY where set, else solcjs from ``npm ci`` through ``scripts/solc``.
"""

import argparse
import os
import sys
from pathlib import Path

from clicooper.chain.compile import CONTRACTS, artifact_name, compare, compile_contracts, write
from clicooper.errors import CliCooperError

ROOT = Path(__file__).resolve().parent.parent
ARTIFACTS = ROOT / "clicooper" / "chain" / "artifacts"


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0, 1 if an artifact differs, 2 if one cannot be built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare with the committed artifacts, write nothing")
    options = parser.parse_args(argv)
    solc = Path(os.environ.get("SOLC_BINARY") or ROOT / "scripts" / "solc")
    try:
        for name in CONTRACTS:
            artifact = compile_contracts(ROOT, solc, name)
            (compare if options.check else write)(artifact, ARTIFACTS / artifact_name(name))
            print(f"{name}: {'matches its sources' if options.check else 'written'} ({artifact.compiler})")
    except CliCooperError as e:
        print(f"error: {e.diagnostics()}", file=sys.stderr)
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
