"""Writes the examples in docs/figures/records.md from the blocks of a real run.

    python scripts/describe_artifacts.py RUN_DIR

Each block is shown in DAG-JSON, its lists cut to two items.
"""

import argparse
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multiformats import CID

from clicooper.chain.record import JobRecord, read_record, record_to_json
from clicooper.commitments.bundle import JobBundle
from clicooper.commitments.canonical import cid_of_block, decode
from clicooper.commitments.manifest import JobSpec, KeyRecord
from clicooper.history.dag_roots import find_dag_roots
from clicooper.history.follow import follow_record
from clicooper.storage.ipld.cid import file_cid
from clicooper.storage.local import LocalStore
from clicooper.storage.run_folder import RunFolder

DOCUMENT = Path(__file__).parents[1] / "docs" / "figures" / "records.md"
BEGIN, END = "<!-- examples: begin -->\n", "<!-- examples: end -->\n"
MAX_ITEMS = 2


def main() -> None:
    """Replaces what stands between the two marks of the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    folder = RunFolder.open(parser.parse_args().run_dir)
    record, store = read_record(folder.record), LocalStore(folder.store)
    text = DOCUMENT.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    sections = "\n".join(section(*example) for example in examples(record, store))
    DOCUMENT.write_text(f"{before}{BEGIN}\n{sections}\n{END}{after}", encoding="utf-8")


def examples(record: JobRecord, store: LocalStore) -> Iterator[tuple[str, bytes]]:
    """The kinds of blocks, each with one of the run."""
    history = follow_record(record)
    roots = find_dag_roots(history)
    spec = store.get_block(roots.spec)
    yield "JobSpec", spec
    yield "ActivationRelease", store.get_block(JobSpec.from_block(spec).activation_release)
    key_record = history.seats[0].key_record
    yield "KeyRecord", key_record
    yield "Grant", store.get_block(KeyRecord.from_block(key_record).grant)
    yield "SegmentManifest", store.get_block(roots.manifests[-1])
    record_file = file_cid(record_to_json(record))
    bundle = JobBundle(record=record_file, spec=roots.spec, manifests=roots.manifests, attachments=())
    yield "JobBundle", bundle.to_block()


def section(kind: str, block: bytes) -> str:
    """One example: its name, its size, and its content."""
    content = json.dumps(dag_json(decode(block)), indent=1, ensure_ascii=False)
    return f"## {kind}\n\n`{cid_of_block(block)}`, {len(block)} bytes\n\n```json\n{content}\n```\n"


def dag_json(value: Any) -> Any:
    """DAG-JSON's form of a decoded block, lists cut."""
    if isinstance(value, CID):
        return {"/": str(value)}
    if isinstance(value, bytes):
        return {"/": {"bytes": base64.b64encode(value).decode().rstrip("=")}}
    if isinstance(value, dict):
        return {key: dag_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [dag_json(item) for item in value[:MAX_ITEMS]]
    return value


if __name__ == "__main__":
    main()
