"""The folder behind ``LocalStore``: its layout, its refusals, real disk errors and real concurrent writers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clicooper.errors import ArtifactCorrupt, StorageError
from clicooper.files import write_whole
from clicooper.storage.base import get_bytes, put_bytes
from clicooper.storage.ipld.cid import IPFS_LAYOUT, block_cid, file_cid
from clicooper.storage.local import LocalStore

CHUNK = IPFS_LAYOUT.chunk_bytes
HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "run" / "store"


def _files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_one_file_per_block_under_its_shard(root: Path) -> None:
    put_bytes(LocalStore(root), b"hello world")
    assert _files(root) == {"clicooper-store", f"n5/{HELLO}"}
    assert (root / "n5" / HELLO).read_bytes() == b"hello world"


def test_files_get_the_mode_of_the_umask(root: Path) -> None:
    umask = os.umask(0o027)
    try:
        put_bytes(LocalStore(root), b"hello world")
    finally:
        os.umask(umask)
    assert (root / "n5" / HELLO).stat().st_mode & 0o777 == 0o640


def test_a_second_store_on_the_folder_reads_the_first(root: Path) -> None:
    cid = put_bytes(LocalStore(root), bytes(2 * CHUNK))
    assert get_bytes(LocalStore(root, sync=True), cid) == bytes(2 * CHUNK)


def test_reading_an_absent_store_writes_nothing(root: Path) -> None:
    store = LocalStore(root)
    assert list(store.cids()) == store.strays() == []
    assert not store.has(block_cid(b"", "raw"))
    assert not root.parent.exists()


def test_reading_changes_no_file(root: Path) -> None:
    cid = put_bytes(LocalStore(root), bytes(CHUNK + 1))

    def state() -> list[tuple[Path, int]]:
        return sorted((path, path.stat().st_mtime_ns) for path in [root, *root.rglob("*")])

    before = state()
    store = LocalStore(root)
    assert store.has(cid) and len(get_bytes(store, cid)) == CHUNK + 1 and list(store.cids())
    assert state() == before


def test_putting_again_writes_nothing(root: Path) -> None:
    put_bytes(LocalStore(root), b"hello world")
    inode = (root / "n5" / HELLO).stat().st_ino
    put_bytes(LocalStore(root), b"hello world")
    assert (root / "n5" / HELLO).stat().st_ino == inode


def test_folder_that_is_not_a_store_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StorageError, match="not a store") as e:
        LocalStore(tmp_path)
    assert str(tmp_path) in e.value.message and e.value.hint and e.value.exit_code == 3
    assert _files(tmp_path) == {"thesis.txt"}


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(StorageError, match="Not a directory") as e:
        LocalStore(path)
    assert str(path) in e.value.message


def test_store_of_a_later_format_is_refused(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "clicooper-store").write_text("clicooper-store 2\n")
    with pytest.raises(StorageError, match="unknown format"):
        LocalStore(root)


def test_place_that_cannot_be_written_is_a_storage_error() -> None:
    store = LocalStore(Path("/proc/clicooper-store"))
    with pytest.raises(StorageError, match="/proc/clicooper-store") as e:
        put_bytes(store, b"x")
    assert e.value.exit_code == 3 and e.value.hint


def test_strays_are_reported_and_never_listed(root: Path) -> None:
    store = LocalStore(root)
    cid = put_bytes(store, b"hello world")
    strays = {
        root / ".tmp-0123456789abcdef",
        root / "notes.txt",
        root / "n5" / ".tmp-fedcba9876543210",
        root / "n5" / "README",
        root / "n5" / HELLO.upper(),
        root / "zz" / HELLO,
        root / HELLO,
    }
    (root / "zz").mkdir()
    for path in strays:
        path.write_bytes(b"hello world")
    directory = root / str(block_cid(b"", "raw"))[-3:-1] / str(block_cid(b"", "raw"))
    directory.mkdir(parents=True)
    assert set(store.strays()) == strays | {directory}
    assert list(store.cids()) == [cid]


def test_leftover_of_a_killed_writer_does_not_block_the_store(root: Path) -> None:
    root.mkdir(parents=True)
    (root / ".tmp-0123456789abcdef").write_bytes(b"half a mark")
    store = LocalStore(root)
    assert get_bytes(store, put_bytes(store, b"hello world")) == b"hello world"


def test_folder_in_place_of_a_block_is_a_storage_error(root: Path) -> None:
    store = LocalStore(root)
    (root / "n5" / HELLO).mkdir(parents=True)
    with pytest.raises(StorageError, match=HELLO):
        store.get_block(block_cid(b"hello world", "raw"))
    assert not store.has(block_cid(b"hello world", "raw"))


def test_file_in_place_of_a_shard_is_a_storage_error(root: Path) -> None:
    store = LocalStore(root)
    store.put_block(b"another block", "raw")
    (root / "n5").write_bytes(b"")
    with pytest.raises(StorageError, match="n5"):
        put_bytes(store, b"hello world")
    with pytest.raises(StorageError, match="n5"):
        store.get_block(block_cid(b"hello world", "raw"))


def test_store_rejects_giant_file_planted_under_a_block_name(root: Path) -> None:
    """Sparse, 64 GiB: reading it whole would exhaust memory."""
    store = LocalStore(root)
    cid = put_bytes(store, b"hello world")
    with (root / "n5" / HELLO).open("wb") as stream:
        stream.truncate(64 << 30)
    with pytest.raises(ArtifactCorrupt):
        store.get_block(cid)


LIMITED = """
import io, resource, signal, sys
from pathlib import Path
from clicooper.errors import StorageError
from clicooper.storage.base import put_bytes
from clicooper.storage.local import LocalStore

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    put_bytes(LocalStore(Path(sys.argv[1])), bytes(200_000))
except StorageError as e:
    print(e.exit_code, e.diagnostics())
"""


def test_disk_that_refuses_a_block_leaves_nothing_behind(root: Path) -> None:
    result = subprocess.run([sys.executable, "-c", LIMITED, str(root)], capture_output=True, text=True, check=True)
    assert result.stdout.startswith(f"3 cannot write {root}")
    assert "File too large" in result.stdout and "hint:" in result.stdout
    store = LocalStore(root)
    assert list(store.cids()) == store.strays() == []
    assert get_bytes(store, put_bytes(store, bytes(200_000))) == bytes(200_000)


WRITER = """
import io, sys
from pathlib import Path
from clicooper.storage.base import put_bytes
from clicooper.storage.local import LocalStore

data = b"".join(i.to_bytes(4, "big") for i in range(1 << 20))
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
print(put_bytes(LocalStore(Path(sys.argv[1])), data))
"""


def test_processes_that_put_one_artifact_at_once_agree(root: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(root)]
    writers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    results = [writer.communicate() for writer in writers]
    data = b"".join(i.to_bytes(4, "big") for i in range(1 << 20))
    assert [(writer.returncode, *result) for writer, result in zip(writers, results, strict=True)] == [
        (0, f"{file_cid(data)}\n", "")
    ] * 3
    store = LocalStore(root)
    assert store.strays() == []
    assert get_bytes(store, file_cid(data)) == data


class TestWriteAtomic:
    def test_replaces_whole_and_creates_the_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b"
        write_whole(path, b"one")
        write_whole(path, b"two", sync=False)
        assert path.read_bytes() == b"two"
        assert list(path.parent.iterdir()) == [path]

    def test_failure_keeps_the_old_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "old").write_bytes(b"old")
        with pytest.raises(StorageError, match="target"):
            write_whole(tmp_path / "target", b"new")
        assert list(tmp_path.iterdir()) == [tmp_path / "target"]
        assert (tmp_path / "target" / "old").read_bytes() == b"old"
