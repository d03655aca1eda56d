"""Run a whole job in one process, chain included: python examples/run_job.py FOLDER

An owner hires two trainers for one round on handwritten digits; the folder keeps record, artifacts and secrets.
"""

import sys
from pathlib import Path

from clicooper import JobConfig, LocalStore, Node, RunFolder, run_whole_job


def main(target: str) -> int:
    """Runs the job and prints what it came to."""
    folder = RunFolder.create(Path(target))
    with Node.embedded() as node:
        done = run_whole_job(JobConfig(trainers=2, rounds=1), node, LocalStore(folder.store), folder)
    folder.finish()
    print(f"accuracy {done.accuracy.protected:.3f}, audit: {done.audit.verdict.value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
