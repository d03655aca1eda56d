"""Stores that run out of space, and several processes at one store."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clicooper.errors import StorageError
from clicooper.storage.base import get_bytes, put_bytes
from clicooper.storage.ipfs.ipfs_store import IpfsStore
from clicooper.storage.ipld.cid import IPFS_LAYOUT, build_file, cid_text, file_cid
from clicooper.storage.layered import LayeredStore
from clicooper.storage.local import LocalStore
from tests.ipfs_node import IpfsNode

CHUNK = IPFS_LAYOUT.chunk_bytes
SMALL_DISK_BYTES = 1 << 20

FILL = """
import json, resource, sys
from pathlib import Path
from clicooper.errors import StorageError
from clicooper.storage.local import LocalStore

resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, 1 << 17))
try:
    LocalStore(Path(sys.argv[1])).put_file(Path(sys.argv[2]))
except StorageError as e:
    print(json.dumps({"message": e.message, "hint": e.hint, "code": e.exit_code}))
"""

PUT = """
import sys
from pathlib import Path
from clicooper.storage.ipfs.ipfs_store import IpfsStore
from clicooper.storage.layered import LayeredStore
from clicooper.storage.local import LocalStore

kind, where, source = sys.argv[1:]
store = {
    "local": lambda: LocalStore(Path(where)),
    "ipfs": lambda: IpfsStore(where),
    "layered": lambda: LayeredStore(LocalStore(Path(where.split(",")[0])), IpfsStore(where.split(",")[1])),
}[kind]()
print("ready", flush=True)
sys.stdin.readline()
print(store.put_file(Path(source)))
"""


def content(size: int) -> bytes:
    return b"".join(i.to_bytes(4, "big") for i in range(-(-size // 4)))[:size]


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of 1 MiB at ``folder``; gives whether this user may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_a_small_disk(folder: Path, source: Path) -> dict[str, object]:
    """Puts what does not fit on a file system of 1 MiB; where none may be mounted, a limit on files stands for it."""
    with small_disk(folder) as mounted:
        if not mounted:
            return limited(folder, source)
        with pytest.raises(StorageError) as e:
            LocalStore(folder / "store").put_file(source)
        check_whole(LocalStore(folder / "store"), source)
        return {"message": e.value.message, "hint": e.value.hint, "code": e.value.exit_code}


def limited(folder: Path, source: Path) -> dict[str, object]:
    """Puts a file with leaves that are larger than this process may write."""
    run = [sys.executable, "-c", FILL, str(folder / "store"), str(source)]
    found: dict[str, object] = json.loads(subprocess.run(run, capture_output=True, check=True, timeout=60).stdout)
    check_whole(LocalStore(folder / "store"), source)
    return found


def check_whole(store: LocalStore, source: Path) -> None:
    """What is there is whole, and part of the file."""
    expected = {cid for cid, _ in build_file(io.BytesIO(source.read_bytes()))}
    for cid in store.cids():
        assert cid in expected
        store.get_block(cid)
    assert store.strays() == [], "nothing half-written is left"


@pytest.mark.parametrize("fill", [fill_a_small_disk, limited])
def test_full_disk_under_the_local_store(fill: Callable[[Path, Path], dict[str, object]], tmp_path: Path) -> None:
    source, disk = tmp_path / "source", tmp_path / "disk"
    source.write_bytes(content(8 * CHUNK))
    found = fill(disk, source)
    assert found["code"] == 3
    assert "No space left" in str(found["message"]) or "File too large" in str(found["message"])
    assert str(disk / "store") in str(found["message"])
    assert "space" in str(found["hint"])
    store = LocalStore(tmp_path / "elsewhere")
    assert get_bytes(store, store.put_file(source)) == source.read_bytes(), "the same put works where there is space"


def test_full_disk_under_the_cache_fails_the_put_and_leaves_no_note(tmp_path: Path) -> None:
    """What is not in the cache cannot be sent later, and must not be promised."""
    with small_disk(tmp_path / "disk") as mounted:
        cache = LocalStore(tmp_path / "disk" / "store")
        store = LayeredStore(cache, IpfsStore("http://127.0.0.1:9", retries=0))
        if mounted:
            with pytest.raises(StorageError, match="No space left"):
                put_bytes(store, content(8 * CHUNK))
        else:
            source = tmp_path / "source"
            source.write_bytes(content(8 * CHUNK))
            limited(tmp_path / "disk", source)
        assert store.pending() == ()


@pytest.mark.parametrize("kind", ["local", "ipfs", "layered"])
def test_two_processes_put_the_same_artifact_at_once(
    kind: str, tmp_path: Path, ipfs_nodes: tuple[IpfsNode, IpfsNode]
) -> None:
    source = tmp_path / "source"
    source.write_bytes(content(40 * CHUNK + 5))
    node, folder = ipfs_nodes[0].url, str(tmp_path / "store")
    where = {"local": folder, "ipfs": node, "layered": f"{folder},{node}"}[kind]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUT, kind, where, str(source)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        printed = [process.communicate(timeout=120)[0].strip() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    root = file_cid(source.read_bytes())
    assert printed == [cid_text(root)] * 2
    if kind != "local":
        assert get_bytes(IpfsStore(node), root) == source.read_bytes()
    if kind != "ipfs":
        store = LocalStore(tmp_path / "store")
        check_whole(store, source)
        assert get_bytes(store, root) == source.read_bytes()
        assert len(list(store.cids())) == 42
