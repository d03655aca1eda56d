"""Writes the golden vectors in tests/vectors/ again; `git diff` then shows whether any format moved."""

import runpy
from pathlib import Path

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "vectors"


def main() -> None:
    """Runs every Python script that makes vectors."""
    for script in sorted(VECTORS.glob("make_*.py")):
        runpy.run_path(str(script), run_name="__main__")
        print(f"{script.name}: done")


if __name__ == "__main__":
    main()
