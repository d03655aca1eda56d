"""What the command line costs: time to help, and time and memory of a whole demo."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _table import Row, report

CLICOOPER = [sys.executable, "-m", "clicooper"]


def seconds(*command: str) -> float:
    """The fastest of five runs of a command, in seconds."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return round(min(times), 3)


def main() -> None:
    """Measures and reports."""
    bare = seconds(sys.executable, "-c", "pass")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        demo = subprocess.run(
            [*CLICOOPER, "demo", "--json", "--quiet", "--out", str(run)], check=True, capture_output=True
        )
        result = json.loads(demo.stdout)
        started = time.perf_counter()
        subprocess.run([*CLICOOPER, "audit", str(run), "--json", "--quiet"], check=True, capture_output=True)
        audit = round(time.perf_counter() - started, 2)
        size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    report(
        [
            Row("clicooper --help", seconds(*CLICOOPER, "--help"), "s", target=0.5),
            Row("bare interpreter", bare, "s"),
            Row("clicooper demo", result["seconds"], "s", target=60),
            Row("clicooper demo, peak memory", result["peak_rss_mib"], "MiB", target=1536),
            Row("clicooper audit with full replay", audit, "s"),
            Row("run folder", round(size / 2**20, 1), "MiB"),
        ]
    )


if __name__ == "__main__":
    main()
