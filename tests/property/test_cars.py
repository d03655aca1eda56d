"""Laws of graphs and CAR files over drawn graphs: order, completeness, round trips, and what damage does."""

import io
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multiformats import CID

from clicooper.commitments.canonical import encode
from clicooper.errors import ArtifactCorrupt, ArtifactMissing, CarError
from clicooper.storage.ipld.car import read_car, read_sections, write_car
from clicooper.storage.ipld.cid import block_cid
from clicooper.storage.ipld.graph import block_links, walk
from tests.simulators import MemoryStore

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[MemoryStore, tuple[CID, ...]]:
    """A store of up to a dozen blocks, each record linking some that were made before it, and one to three roots."""
    store = MemoryStore()
    made: list[CID] = [store.put_block(draw(st.binary(max_size=40)), "raw")]
    for _ in range(draw(st.integers(0, 11))):
        if draw(st.booleans()):
            made.append(store.put_block(draw(st.binary(max_size=40)), "raw"))
        else:
            links = draw(st.lists(st.sampled_from(made), max_size=4))
            fields: dict[str, Any] = {"n": draw(st.integers(0, 3)), "links": links, "last": {"deep": made[-1]}}
            made.append(store.put_block(encode(fields)))
    return store, tuple(draw(st.lists(st.sampled_from(made), min_size=1, max_size=3)))


def reachable(store: MemoryStore, roots: tuple[CID, ...]) -> set[CID]:
    """The same by another way: the closure of the links."""
    found: set[CID] = set()
    fresh = set(roots)
    while fresh:
        found |= fresh
        fresh = {link for cid in fresh for link in block_links(cid, store.blocks[cid])} - found
    return found


def car(store: MemoryStore, roots: tuple[CID, ...]) -> bytes:
    target = io.BytesIO()
    write_car(target, roots, walk(store.get_block, roots))
    return target.getvalue()


@SLOW
@given(graphs())
def test_walk_yields_what_is_reachable_once_and_each_block_after_one_that_links_it(
    graph: tuple[MemoryStore, tuple[CID, ...]],
) -> None:
    store, roots = graph
    linked = set(roots)
    walked = []
    for cid, block in walk(store.get_block, roots):
        assert cid in linked
        assert block == store.blocks[cid]
        linked |= set(block_links(cid, block))
        walked.append(cid)
    assert len(walked) == len(set(walked))
    assert set(walked) == reachable(store, roots)


@SLOW
@given(graphs())
def test_read_inverts_write_and_the_bytes_depend_on_the_graph_alone(
    graph: tuple[MemoryStore, tuple[CID, ...]],
) -> None:
    store, roots = graph
    data = car(store, roots)
    read_roots, blocks = read_car(io.BytesIO(data))
    copy = MemoryStore()
    for found in blocks:
        assert copy.put_block(found.block, found.cid.codec.name) == found.cid
    assert read_roots == roots
    assert car(copy, read_roots) == data


def read_all(data: bytes) -> list[tuple[CID, bytes]]:
    """Blocks of a file whose graph is whole."""
    roots, blocks = read_car(io.BytesIO(data))
    held = {found.cid: found.block for found in blocks}

    def get_block(cid: CID) -> bytes:
        if cid not in held:
            raise ArtifactMissing("lost", cid=str(cid))
        return held[cid]

    return list(walk(get_block, roots))


@SLOW
@given(graphs(), st.data())
def test_any_flipped_bit_is_refused_or_shows_in_roots(
    graph: tuple[MemoryStore, tuple[CID, ...]], data: st.DataObject
) -> None:
    """A root may turn into another one only by a hash that the file does not hold."""
    whole = car(*graph)
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    damaged = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    try:
        read_all(damaged)
    except (CarError, ArtifactCorrupt, ArtifactMissing):
        return
    raise AssertionError("damage went unnoticed")


@SLOW
@given(graphs(), st.data())
def test_any_cut_is_refused(graph: tuple[MemoryStore, tuple[CID, ...]], data: st.DataObject) -> None:
    whole = car(*graph)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        read_all(cut)
    except CarError as e:
        assert 0 <= e.offset <= len(cut)
        return
    except ArtifactMissing:
        return
    raise AssertionError("a cut went unnoticed")


@SLOW
@given(graphs(), st.binary(min_size=1, max_size=60))
def test_anything_behind_the_end_is_refused(graph: tuple[MemoryStore, tuple[CID, ...]], tail: bytes) -> None:
    whole = car(*graph)
    try:
        for _ in read_car(io.BytesIO(whole + tail))[1]:
            pass
    except CarError as e:
        assert e.offset >= len(whole)
        return
    raise AssertionError("a tail went unnoticed")


@SLOW
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused_alike_by_both_readers(data: bytes) -> None:
    def outcome(read: Any) -> object:
        try:
            roots, items = read(io.BytesIO(data))
            return roots, [item.cid for item in items]
        except CarError as e:
            return e.offset

    skimmed = outcome(read_sections)
    try:
        assert outcome(read_car) == skimmed
    except ArtifactCorrupt:
        assert isinstance(skimmed, tuple)


@SLOW
@given(st.binary(max_size=100), st.sampled_from(["dag-cbor", "dag-pb", "raw"]))
def test_arbitrary_genuine_blocks_have_links_or_are_refused(block: bytes, codec: str) -> None:
    try:
        links = block_links(block_cid(block, codec), block)
    except ArtifactCorrupt:
        assert codec != "raw"
        return
    assert all(link.version == 1 and link.hashfun.name == "sha2-256" for link in links)
