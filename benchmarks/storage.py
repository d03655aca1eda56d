"""What keeping a large file costs: beside plain hashing of it here, and beside a node's own ``add`` on IPFS.

The file is random, so that no two leaves are alike. Local puts run in processes of their own, for their peak memory;
nothing is deleted before the end, as ext4 makes new files slowly for some seconds after many were deleted. The local
put writes the file once more: a plain write of the same leaves stands beside it. Nodes are the js-ipfs of the tests,
or Kubo where ``ipfs`` is on the path; ``add`` and put take turns on two nodes that do not know each other.
Options: ``--json``; ``--mib N`` sets the size of the file, by default 1024.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from _table import Row, report

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from clicooper.storage.ipfs.ipfs_store import IpfsStore  # noqa: E402
from clicooper.storage.local import LocalStore  # noqa: E402
from tests.integration.node_proxy import running_proxy  # noqa: E402
from tests.ipfs_node import IpfsNode, node_programs  # noqa: E402

MIB = 1 << 20
LEAF = 1 << 18
TURNS = 3
HASH_SHARE = 0.6
ADD_SHARE = 0.9
MOST_MEMORY_MIB = 200
MOST_RESENT = 0.05
BOUNDARY = "storage-benchmark"


def make_file(path: Path, size_mib: int) -> Path:
    """A file of random bytes."""
    with path.open("wb") as stream:
        for _ in range(size_mib):
            stream.write(os.urandom(MIB))
    return path


def timed(run: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def plain_hash(path: Path) -> None:
    """sha2-256 over the whole file, as fast as this interpreter can."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while piece := stream.read(MIB):
            digest.update(piece)


def plain_leaves(path: Path, folder: Path) -> None:
    """The file's bytes in one file for each leaf, and nothing else: what any store of blocks has to write."""
    folder.mkdir()
    with path.open("rb", buffering=0) as stream:
        for number, piece in enumerate(iter(lambda: stream.read(LEAF), b"")):
            (folder / str(number)).write_bytes(piece)


def put_apart(path: Path, folder: Path) -> tuple[float, float]:
    """Seconds of a local put in a process of its own, and that process's peak memory in MiB."""
    run = [sys.executable, __file__, "--put", str(path), str(folder)]
    printed = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    seconds, peak_mib = json.loads(printed)
    return seconds, peak_mib


def put_and_print(path: Path, folder: Path) -> None:
    """The other side of ``put_apart``."""
    seconds = timed(lambda: LocalStore(folder).put_file(path))
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def local_rows(path: Path, folder: Path) -> Iterator[Row]:
    """CID and local put, beside hashing and beside writing; medians of turns that alternate."""
    hashes, puts, again, writes, peaks = [], [], [], [], []
    for turn in range(TURNS):
        hashes.append(timed(lambda: plain_hash(path)))
        seconds, peak_mib = put_apart(path, folder / f"store-{turn}")
        puts.append(seconds)
        peaks.append(peak_mib)
        writes.append(timed(lambda turn=turn: plain_leaves(path, folder / f"leaves-{turn}")))
        again.append(put_apart(path, folder / f"store-{turn}")[0])
    hashed, target = median(hashes), round(1 / HASH_SHARE, 3)
    yield Row("local put, over sha256 of the file", median(puts), "s", against=hashed, target=target)
    yield Row("local put, over writing the leaves alone", median(puts), "s", against=median(writes))
    yield Row("local put over hashing plus writing", median(puts), "s", against=hashed + median(writes))
    yield Row("local put again, over sha256 of the file", median(again), "s", against=hashed, target=target)
    yield Row("local put, peak memory", max(peaks), "MiB", target=MOST_MEMORY_MIB)
    if find_spec("model_signing"):
        import model_signing  # noqa: PLC0415

        signed = timed(lambda: model_signing.hashing.Config().hash(path))
        yield Row("local put, over model-signing's hashing", median(puts), "s", against=signed)


def bare_add(node: IpfsNode, path: Path) -> None:
    """The node's own command over the same file: streamed, with the settings that give the same CID."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"

    def body() -> Iterator[bytes]:
        yield head.encode()
        with path.open("rb", buffering=0) as stream:
            yield from iter(lambda: stream.read(LEAF), b"")
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    url = f"{node.url}/api/v0/add?cid-version=1&raw-leaves=true&pin=false"
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Transfer-Encoding": "chunked"}
    with urllib.request.urlopen(urllib.request.Request(url, data=body(), headers=headers), timeout=600) as answer:  # noqa: S310
        answer.read()


def ipfs_rows(folder: Path, size_mib: int) -> Iterator[Row]:
    """Puts on nodes."""
    kind, program = list(node_programs().items())[-1]
    with ExitStack() as running:
        nodes = [IpfsNode(program, folder / name) for name in ("a", "b")]
        for node in nodes:
            running.callback(node.stop)
            node.start()
        adds, puts = [], []
        for turn, (adder, putter) in enumerate((nodes, reversed(nodes))):
            path = make_file(folder / f"file-{turn}", size_mib)
            adds.append(timed(lambda adder=adder, path=path: bare_add(adder, path)))
            puts.append(timed(lambda putter=putter, path=path: IpfsStore(putter.url).put_file(path)))
        target = round(1 / ADD_SHARE, 3)
        yield Row(f"put on {kind}, over its own add", median(puts), "s", against=median(adds), target=target)
        yield from resume_rows(nodes[0], make_file(folder / "resumed", size_mib))


def resume_rows(node: IpfsNode, path: Path) -> Iterator[Row]:
    """A node that is killed in mid-upload and comes back: what is sent twice; and a put of what is all there."""
    size = path.stat().st_size
    with running_proxy(node.url) as proxy:
        proxy.watch = lambda uploaded: node.kill() if uploaded > 0.55 * size else None
        try:
            IpfsStore(proxy.url, retries=0).put_file(path)
        except Exception as e:  # noqa: BLE001 - the node is dead, however that shows
            print(f"as intended: {e}", file=sys.stderr)
        proxy.watch = lambda _: None
        node.start()
        IpfsStore(proxy.url).put_file(path)
        yield Row("sent twice after a kill, share of the file", proxy.uploaded_bytes / size - 1, "", target=MOST_RESENT)
        proxy.uploaded_bytes = 0
        seconds = timed(lambda: IpfsStore(proxy.url).put_file(path))
        yield Row("put of an unchanged file, bytes sent", proxy.uploaded_bytes, "bytes", target=0)
        yield Row("put of an unchanged file", seconds, "s")


def main() -> None:
    """Measures and reports."""
    if "--put" in sys.argv:
        put_and_print(*(Path(text) for text in sys.argv[-2:]))
        return
    size_mib = int(sys.argv[sys.argv.index("--mib") + 1]) if "--mib" in sys.argv else 1024
    with tempfile.TemporaryDirectory(prefix="clicooper-storage-") as text:
        folder = Path(text)
        path = make_file(folder / "file", size_mib)
        report([*local_rows(path, folder), *ipfs_rows(folder, size_mib)])


if __name__ == "__main__":
    main()
