"""Audit a job from its CAR file: python examples/audit_car.py JOB.car [IDENTITY]

Exit code 0: every claim holds; 1: a claim fails; 4: something could not be checked.
"""

import sys
from pathlib import Path

from clicooper import JobSource, Verdict, audit_job

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 4}


def main(car: str, identity: str | None = None) -> int:
    """Prints every claim that does not hold, then the verdict."""
    with JobSource(Path(car), identity=Path(identity) if identity else None) as job:
        report = audit_job(job)
    for row in report.results:
        if row.verdict is not Verdict.PASS:
            print(f"{row.check.value}: {row.verdict.value}: {row.detail}")
    print(f"{len(report.results)} claims, verdict: {report.verdict.value}")
    return EXIT_CODES[report.verdict]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
