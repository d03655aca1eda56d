"""What can go wrong between a store and an IPFS node, each thing really caused: a dead node, a bad line, a liar."""

import io
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from node_proxy import (
    Fault,
    NodeProxy,
    flipped,
    html,
    padded,
    redirected,
    running_proxy,
    stalled,
    status_500,
    truncated,
)

from clicooper.errors import ArtifactCorrupt, ArtifactMissing, CliCooperError, StorageError
from clicooper.storage.base import get_bytes, put_bytes
from clicooper.storage.ipfs.ipfs_store import IpfsStore
from clicooper.storage.ipfs.upload import WINDOW_BLOCKS
from clicooper.storage.ipld.cid import IPFS_LAYOUT, block_cid, cid_text, file_cid
from clicooper.storage.layered import LayeredStore
from clicooper.storage.local import LocalStore
from tests.ipfs_node import IpfsNode, node_programs

CHUNK = IPFS_LAYOUT.chunk_bytes
WINDOW = WINDOW_BLOCKS * CHUNK
SEARCH_S = 3.0


def content(size: int, salt: int = 0) -> bytes:
    """No two chunks alike, and none as under another salt."""
    return b"".join(i.to_bytes(4, "big") + salt.to_bytes(4, "big") for i in range(-(-size // 8)))[:size]


@pytest.fixture(scope="module", params=node_programs())
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IpfsNode]:
    """A node of this file's own: js-ipfs never collects garbage again once an upload broke off, nor takes any after."""
    yield from _running(IpfsNode(node_programs()[request.param], tmp_path_factory.mktemp("node")))


@pytest.fixture(params=node_programs())
def undisturbed(
    request: pytest.FixtureRequest, ipfs_node_pairs: Callable[[str], tuple[IpfsNode, IpfsNode]]
) -> IpfsNode:
    """A node on which no upload broke off."""
    return ipfs_node_pairs(request.param)[1]


@pytest.fixture
def proxy(node: IpfsNode) -> Iterator[NodeProxy]:
    with running_proxy(node.url) as between:
        yield between


@pytest.fixture(params=node_programs())
def mortal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IpfsNode]:
    """A node of the test's own, which it may kill and start again."""
    yield from _running(IpfsNode(node_programs()[request.param], tmp_path / "node"))


def _running(node: IpfsNode) -> Iterator[IpfsNode]:
    try:
        node.start()
        yield node
    finally:
        node.stop()


def test_put_again_sends_no_data(proxy: NodeProxy) -> None:
    data = content(5 * CHUNK + 3, salt=1)
    first = put_bytes(IpfsStore(proxy.url), data)
    assert proxy.uploaded_bytes > len(data)
    proxy.uploaded_bytes = 0
    heard: list[tuple[int, int]] = []
    store = IpfsStore(proxy.url, progress=lambda done, sent: heard.append((done, sent)))
    assert put_bytes(store, data) == put_bytes(store, data) == first
    assert proxy.uploaded_bytes == 0
    assert heard and all(done > len(data) and sent == 0 for done, sent in heard)


def test_only_the_new_blocks_of_a_changed_file_are_sent(proxy: NodeProxy) -> None:
    data = content(6 * CHUNK, salt=2)
    store = IpfsStore(proxy.url)
    put_bytes(store, data)
    proxy.uploaded_bytes = 0
    changed = data[: 3 * CHUNK] + content(CHUNK, salt=3) + data[4 * CHUNK :]
    assert get_bytes(store, put_bytes(store, changed)) == changed
    assert CHUNK < proxy.uploaded_bytes < 2 * CHUNK


def test_repeated_blocks_of_one_file_are_sent_once(proxy: NodeProxy) -> None:
    put_bytes(IpfsStore(proxy.url), content(CHUNK, salt=4) * 20)
    assert CHUNK < proxy.uploaded_bytes < 2 * CHUNK


def test_node_killed_in_mid_upload_and_restarted(mortal: IpfsNode) -> None:
    data = content(2 * WINDOW + WINDOW // 2, salt=5)
    with running_proxy(mortal.url) as proxy:
        proxy.watch = lambda uploaded: mortal.kill() if uploaded > WINDOW + WINDOW // 2 else None
        with pytest.raises(StorageError, match=r"IPFS node http://127\.0\.0\.1:\d+, dag/import"):
            put_bytes(IpfsStore(proxy.url, retries=1), data)
        proxy.watch = lambda _: None
        mortal.start()
        root = put_bytes(IpfsStore(proxy.url), data)
        assert root == file_cid(data)
        assert proxy.uploaded_bytes - len(data) < WINDOW, "what one window holds is the most that is sent twice"
    assert get_bytes(IpfsStore(mortal.url), root) == data


def test_upload_goes_on_after_a_broken_connection(proxy: NodeProxy) -> None:
    """One put rides over a fault that passes."""

    def once(handler: object) -> None:
        proxy.faults.clear()

    proxy.faults["dag/import"] = once
    data = content(4 * CHUNK, salt=6)
    assert get_bytes(IpfsStore(proxy.url), put_bytes(IpfsStore(proxy.url), data)) == data
    assert sum("dag/import" in path for path in proxy.requests) == 2


def test_absent_block_is_missing_within_the_timeout_and_the_search_is_not_repeated(node: IpfsNode) -> None:
    store = IpfsStore(node.url, timeout_s=SEARCH_S)
    cid = block_cid(b"nobody has this", "raw")
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(ArtifactMissing, match=r"node http://127\.0\.0\.1:\d+ does not have block baf") as e:
            store.get_block(cid)
        assert (e.value.cid, e.value.exit_code) == (cid_text(cid), 4)
    assert time.monotonic() - begun < 20 * SEARCH_S / 2, "twenty searches would take longer"
    put_bytes(store, b"nobody has this")
    assert store.get_block(cid) == b"nobody has this", "a put ends the memory of absence"


FAULTS: dict[str, tuple[Fault, type[CliCooperError]]] = {
    "flips a bit": (flipped, ArtifactCorrupt),
    "truncates": (truncated, StorageError),
    "never ends": (padded, ArtifactCorrupt),
    "stalls": (stalled, StorageError),
    "answers 500": (status_500, StorageError),
    "answers HTML": (html, StorageError),
    "redirects": (redirected, StorageError),
}


@pytest.mark.parametrize("name", FAULTS)
def test_reading_through_a_proxy_that(name: str, proxy: NodeProxy) -> None:
    fault, expected = FAULTS[name]
    root = put_bytes(IpfsStore(proxy.url), content(CHUNK, salt=7))
    proxy.faults["block/get"] = fault
    store = IpfsStore(proxy.url, timeout_s=SEARCH_S, retries=2)
    with pytest.raises(expected) as e:
        store.get_block(root)
    assert proxy.url.removeprefix("http://") in e.value.message
    assert cid_text(root) in e.value.message
    proxy.faults.clear()
    assert len(store.get_block(root)) == CHUNK, "the store outlives the fault"


@pytest.mark.parametrize("name", ["stalls", "answers 500", "answers HTML", "redirects"])
@pytest.mark.parametrize("command", ["dag/import", "version"])
def test_writing_through_a_proxy_that(name: str, command: str, proxy: NodeProxy) -> None:
    proxy.faults[command] = FAULTS[name][0]
    with pytest.raises(StorageError, match=f"{proxy.url}.*{command}"):
        put_bytes(IpfsStore(proxy.url, timeout_s=1.0, retries=1), content(2 * CHUNK, salt=8))


def test_refusals_that_are_final_are_not_repeated(proxy: NodeProxy) -> None:
    proxy.faults["block/get"] = redirected
    with pytest.raises(StorageError, match="redirect"):
        IpfsStore(proxy.url).get_block(block_cid(b"x", "raw"))
    assert sum("block/get" in path for path in proxy.requests) == 1


def test_failures_that_may_pass_are_repeated(proxy: NodeProxy) -> None:
    proxy.faults["block/get"] = status_500
    with pytest.raises(StorageError, match="500"):
        IpfsStore(proxy.url, retries=2).get_block(block_cid(b"x", "raw"))
    assert sum("block/get" in path for path in proxy.requests) == 3


def test_node_that_loses_what_it_took_is_found_out(proxy: NodeProxy) -> None:
    def swallow(handler: object) -> None:
        handler.answer(200, "application/json", b"")  # type: ignore[attr-defined]

    proxy.faults["dag/import"] = swallow
    with pytest.raises(StorageError, match=r"took block baf.* and does not have it"):
        put_bytes(IpfsStore(proxy.url, timeout_s=SEARCH_S), content(2 * CHUNK, salt=9))


def test_source_that_cannot_be_read_is_not_taken_for_a_bad_node(proxy: NodeProxy) -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= (WINDOW_BLOCKS + 2) * CHUNK:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(StorageError, match=r"cannot read .*Input/output error"):
        IpfsStore(proxy.url).put_file(Torn(content((WINDOW_BLOCKS + 4) * CHUNK, salt=10)))
    # The first window arrived; the call that the second was to be may break before the proxy has read its first line.
    assert sum("dag/import" in path for path in proxy.requests) in (1, 2)


def test_credentials_are_sent_and_never_shown(proxy: NodeProxy) -> None:
    seen: list[str] = []

    def note(handler: object) -> None:
        seen.append(handler.headers["Authorization"])  # type: ignore[attr-defined]
        status_500(handler)  # type: ignore[arg-type]

    proxy.faults["block/get"] = note
    store = IpfsStore(proxy.url.replace("//", "//ann:secret@"), retries=0)
    with pytest.raises(StorageError) as e:
        store.get_block(block_cid(b"x", "raw"))
    assert seen == ["Basic YW5uOnNlY3JldA=="]
    assert "secret" not in e.value.diagnostics() + repr(store.__dict__)


def test_layered_store_survives_the_node_and_catches_up(mortal: IpfsNode, tmp_path: Path) -> None:
    def opened() -> LayeredStore:
        return LayeredStore(LocalStore(tmp_path / "cache"), IpfsStore(mortal.url, retries=0), pause_s=0)

    store = opened()
    before = put_bytes(store, content(2 * CHUNK, salt=11))
    assert store.pending() == ()
    mortal.kill()
    during = [put_bytes(store, content(2 * CHUNK, salt=salt)) for salt in (12, 13)]
    record = store.put_block(b"\xa0")
    assert [get_bytes(store, root) for root in during] == [content(2 * CHUNK, salt=salt) for salt in (12, 13)]
    assert set(store.pending()) == {*during, record}
    with pytest.raises(StorageError, match="cannot be reached"):
        store.catch_up()
    mortal.start()
    elsewhere = opened()
    assert set(elsewhere.pending()) == {*during, record}, "another process knows what is missing"
    assert elsewhere.catch_up() == 3
    assert store.pending() == ()
    remote = IpfsStore(mortal.url)
    assert all(len(get_bytes(remote, root)) == 2 * CHUNK for root in (before, *during))
    assert remote.get_block(record) == b"\xa0"


def test_layered_store_leaves_a_dead_node_alone_for_a_while(tmp_path: Path, node: IpfsNode) -> None:
    seconds = itertools.count(0, 4)
    with running_proxy(node.url) as proxy:
        proxy.faults["/"] = status_500
        store = LayeredStore(
            LocalStore(tmp_path), IpfsStore(proxy.url, retries=0), pause_s=10, clock=lambda: float(next(seconds))
        )
        for salt in range(20, 26):
            put_bytes(store, content(CHUNK, salt))
        assert 1 <= len(proxy.requests) <= 3, "six puts, and 4 seconds between any two looks at the clock"
        proxy.faults.clear()
        assert store.catch_up() == 6


def test_each_layer_mends_the_other(undisturbed: IpfsNode, tmp_path: Path) -> None:
    cache, remote = LocalStore(tmp_path / "cache"), IpfsStore(undisturbed.url)
    store = LayeredStore(cache, remote)
    data = content(3 * CHUNK, salt=14)
    root = put_bytes(store, data)
    (damaged,) = tmp_path.rglob(cid_text(file_cid(data[:CHUNK])))
    damaged.write_bytes(b"rot")
    (lost,) = tmp_path.rglob(cid_text(root))
    lost.unlink()
    assert get_bytes(store, root) == data
    assert get_bytes(cache, root) == data, "what was read was kept"
    undisturbed.call("repo/gc")
    assert not remote.has(root)
    store.resend_file(root)
    assert get_bytes(remote, root) == data


def test_pins_keep_what_gc_would_take(undisturbed: IpfsNode) -> None:
    store = IpfsStore(undisturbed.url)
    kept, taken = (put_bytes(store, content(2 * CHUNK, salt)) for salt in (15, 16))
    leaf = file_cid(content(CHUNK, 17))
    put_bytes(store, content(CHUNK, 17))
    store.pin(kept)
    store.pin(kept)
    store.pin(leaf, recursive=False)
    assert store.pins() == {kept: "recursive", leaf: "direct"}
    assert taken.digest in {cid.digest for cid in store.gc()}
    assert get_bytes(store, kept) == content(2 * CHUNK, 15)
    assert store.has(leaf) and not store.has(taken)
    store.unpin(kept)
    store.unpin(leaf)
    store.unpin(taken)
    assert store.pins() == {}
    store.gc()
    assert not store.has(kept)
    assert store.node_id() == undisturbed.identity()["ID"]
