"""Watch a contract: python examples/watch_contract.py NODE_URL CONTRACT INDEX.sqlite

Reads what is new since the last call and prints how far every job is. Call it again whenever you like.
"""

import sys
from pathlib import Path

from clicooper import Node, RecordIndex, follow_record


def main(url: str, contract: str, index_file: str) -> int:
    """Prints a line for each job."""
    with Node.connect(url) as node, RecordIndex(Path(index_file), node, contract) as index:
        print(f"read up to block {index.sync().last}")
        for job in index.jobs():
            history = follow_record(index.record(job))
            done = f"{history.accepted_rounds} of {history.params.rounds} rounds accepted"
            print(f"job {job}: {history.phase.name}, {done}, head 0x{history.head.hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
