"""The gate on the coverage of the contracts says no to anything that no test reached."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GATE = ROOT / "scripts" / "coverage_gate.py"
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for path in sorted((ROOT / "contracts").rglob("*.sol"))
    if path.parent.name not in {"interfaces", "types"}
]


def report(*extra: str, leave_out: str = "") -> str:
    """A report in which every source is reached, and what else is given for the last one."""
    lines = []
    for source in SOURCES:
        if source != leave_out:
            lines += [f"SF:{source}", "DA:1,3", "FNDA:2,f", "BRDA:1,0,0,4", *extra, "end_of_record"]
    return "\n".join(lines)


def gate(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "lcov.info"
    file.write_text(text)
    return subprocess.run([sys.executable, str(GATE), str(file)], capture_output=True, text=True, check=False)


def test_whole_coverage_passes(tmp_path: Path) -> None:
    done = gate(tmp_path, report())
    assert (done.returncode, done.stderr) == (0, "")
    assert all(source in done.stdout for source in SOURCES)


@pytest.mark.parametrize(
    ("extra", "why"),
    [("DA:7,0", "line 7"), ("BRDA:7,0,1,-", "branch 7"), ("BRDA:7,0,1,0", "branch 7"), ("FNDA:0,g", "function g")],
)
def test_one_unreached_point_fails(tmp_path: Path, extra: str, why: str) -> None:
    done = gate(tmp_path, report(extra))
    assert done.returncode == 1
    assert f"contracts/CliCooper.sol: {why} was not reached" in done.stderr


def test_source_that_the_report_leaves_out_fails(tmp_path: Path) -> None:
    done = gate(tmp_path, report(leave_out="contracts/core/Rounds.sol"))
    assert done.returncode == 1
    assert done.stderr == "contracts/core/Rounds.sol: not in the report\n"


def test_empty_report_fails(tmp_path: Path) -> None:
    assert gate(tmp_path, "").returncode == 1


def test_other_sources_are_not_judged(tmp_path: Path) -> None:
    assert gate(tmp_path, report() + "\nSF:tests/contract/Base.sol\nDA:1,0").returncode == 0
