"""The parts of the store on IPFS that need no node: addresses, archives, windows, and calls over a simulated line."""

import io
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import CID

from clicooper.errors import ArtifactMissing, StorageError, UsageError
from clicooper.storage.ipfs.address import parse_node_address
from clicooper.storage.ipfs.presence import MAX_REMEMBERED, Presence, artifacts
from clicooper.storage.ipfs.rpc import MAX_LINE_BYTES, NodeCall, Refused, Rpc, Transient
from clicooper.storage.ipfs.upload import WINDOW_BLOCKS, Window, car, multipart, windows
from clicooper.storage.ipld.cid import FileLayout, block_cid, build_file, cid_bytes, cid_text

TINY = FileLayout(chunk_bytes=4, max_links=3)
GONE = block_cid(b"gone", "raw")


def blocks_of(data: bytes) -> Iterator[tuple[CID, bytes]]:
    return build_file(io.BytesIO(data), TINY)


@pytest.mark.parametrize(
    ("text", "multiaddr", "public"),
    [
        ("http://127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001/http", "http://127.0.0.1:5001"),
        ("http://127.0.0.1:5001/api/v0", "/ip4/127.0.0.1/tcp/5001/http", "http://127.0.0.1:5001"),
        ("https://ipfs.example", "/dns/ipfs.example/tcp/443/https", "https://ipfs.example"),
        ("http://[::1]:5001", "/ip6/::1/tcp/5001/http", "http://[::1]:5001"),
        ("/ip4/127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001/http", "http://127.0.0.1:5001"),
        ("/ip6/::1/tcp/5001/http", "/ip6/::1/tcp/5001/http", "http://[::1]:5001"),
        ("/dns4/ipfs.example/tcp/443/https", "/dns/ipfs.example/tcp/443/https", "https://ipfs.example:443"),
    ],
)
def test_addresses(text: str, multiaddr: str, public: str) -> None:
    address = parse_node_address(text)
    assert (address.multiaddr, address.public, address.credentials) == (multiaddr, public, None)


def test_credentials_of_an_address_are_kept_apart() -> None:
    address = parse_node_address("https://ann:p%40ss@ipfs.example:8443")
    assert address.credentials == ("ann", "p@ss")
    assert "p@ss" not in repr(address) + address.public + address.multiaddr


@pytest.mark.parametrize(
    "text",
    [
        *("", "local", "5001", "ftp://host:21", "http://", "http://host:99999", "http://host/other", "http://host?a=b"),
        *("/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/5001", "/unix/run/ipfs.sock", "http://ann:secret@host:port"),
    ],
)
def test_unusable_addresses_are_refused_without_their_password(text: str) -> None:
    with pytest.raises(UsageError, match="neither a URL nor a multiaddr") as e:
        parse_node_address(text)
    assert "secret" not in e.value.diagnostics()


def test_archive_of_nothing_is_none() -> None:
    assert car(iter(())) is None


def test_archive_in_full() -> None:
    cid = block_cid(b"hello", "raw")
    archive = b"".join(car([(cid, b"hello")]) or ())
    header = b"\xa2eroots\x81\xd8\x2a\x58\x25\x00" + cid_bytes(cid) + b"gversion\x01"
    assert archive == bytes([len(header)]) + header + bytes([36 + 5]) + cid_bytes(cid) + b"hello"


def test_form_carries_an_archive_as_it_is() -> None:
    form = b"".join(multipart([b"one", b"two"]))
    head, _, rest = form.partition(b"\r\n\r\n")
    assert head.startswith(b"--") and b"application/octet-stream" in head
    assert rest.startswith(b"onetwo\r\n--") and rest.endswith(b"--\r\n")


@settings(deadline=None)
@given(st.integers(0, 2_000), st.integers(0, 400))
def test_windows_lose_nothing_however_often_they_are_gone_through(size: int, stop: int) -> None:
    expected = [block for _, block in blocks_of(bytes(i % 251 for i in range(size)))]
    found: list[bytes] = []
    for window in windows(blocks_of(bytes(i % 251 for i in range(size)))):
        list(islice(window, stop))
        assert [block for _, block in window] == [block for _, block in window.blocks]
        assert len(window.blocks) <= WINDOW_BLOCKS
        found += [block for _, block in window]
    assert found == expected


def test_window_sends_what_is_lacking_once() -> None:
    blocks = [(block_cid(data, "raw"), data) for data in (b"a", b"b", b"a", b"c")]
    window = Window(blocks[0], iter(blocks[1:]))
    assert [block for _, block in window.lacking(lambda cid: cid == blocks[3][0])] == [b"a", b"b"]


class Line:
    """A transport that gives prepared answers, one after the other; an exception is raised in its place."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []

    def post(
        self,
        command: str,
        options: Mapping[str, str],  # noqa: ARG002
        body: Iterable[bytes] | None,  # noqa: ARG002
        timeout_s: float,  # noqa: ARG002
    ) -> Generator[bytes, None, None]:
        self.calls.append(command)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield from (answer[i : i + 7] for i in range(0, len(answer), 7))


def rpc(line: Line, retries: int = 2) -> Rpc:
    return Rpc(line, "http://node", 5.0, retries)


def test_call_is_tried_again_after_failures_that_may_pass() -> None:
    line = Line(Transient("refused"), Refused("status 502", is_final=False), b"answer")
    assert rpc(line).ask(NodeCall("id", {})) == b"answer"
    assert len(line.calls) == 3


@pytest.mark.parametrize(
    ("failure", "calls", "expected"),
    [
        (Transient("no answer"), 3, StorageError),
        (Refused("status 400: bad", is_final=True), 1, StorageError),
        (Refused("status 500: block was not found locally (offline)", is_final=False), 1, ArtifactMissing),
        (Refused("status 500: request timed out", is_final=False), 1, ArtifactMissing),
        (Refused("status 500: disk on fire", is_final=False), 3, StorageError),
    ],
)
def test_failed_calls(failure: Exception, calls: int, expected: type[Exception]) -> None:
    line = Line(*[failure] * 3)
    with pytest.raises(expected, match=f"http://node.*{cid_text(GONE)}"):
        rpc(line).ask(NodeCall.about("block/get", GONE))
    assert len(line.calls) == calls


def test_time_out_of_a_call_about_nothing_in_particular_is_no_absence() -> None:
    with pytest.raises(StorageError, match="timed out"):
        rpc(Line(Refused("request timed out", is_final=False)), retries=0).ask(NodeCall("id", {}))


def test_answer_is_read_no_further_than_its_limit() -> None:
    assert rpc(Line(b"x" * 1000)).ask(NodeCall("id", {}), max_bytes=10) == b"x" * 11


def test_lines_are_put_together_from_pieces() -> None:
    line = Line(b'{"Ref": "one"}\n\n{"Ref": "two"}\n{"Ref": "three"}')
    assert [found["Ref"] for found in rpc(line).lines(NodeCall("refs/local", {}))] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"<html>", "not JSON"),
        (b"[1]", "not an object"),
        (b'{"Message": "broken disk", "Type": "error"}', "broken disk"),
        (b"x" * (MAX_LINE_BYTES + 100), "a line of more than"),
        (b"[" * 60_000, "not JSON"),
    ],
)
def test_lines_that_are_no_answer(answer: bytes, problem: str) -> None:
    with pytest.raises(StorageError, match=problem):
        list(rpc(Line(answer)).lines(NodeCall("refs/local", {})))


def listing(*data: bytes) -> bytes:
    return b"".join(b'{"Ref": "%s"}\n' % cid_text(block_cid(one, "raw")).encode() for one in data)


def js_presence(*answers: bytes | Exception) -> tuple[Presence, Line]:
    line = Line(b'{"Version": "0.18.1"}', *answers)
    return Presence(rpc(line)), line


def asked(is_there: Callable[[CID], bool], *data: bytes) -> list[bool]:
    return [is_there(block_cid(one, "raw")) for one in data]


def test_node_is_asked_for_its_list_once_while_everything_is_new() -> None:
    presence, line = js_presence(listing(b"a"))
    for _ in range(3):
        assert asked(presence.for_one_put(), b"x", b"y") == [False, False]
    assert line.calls == ["version", "refs/local"]


def test_list_is_asked_for_afresh_before_a_block_is_left_out() -> None:
    presence, line = js_presence(listing(b"a", b"b"), listing(b"b"))
    assert asked(presence.for_one_put(), b"x") == [False]
    assert asked(presence.for_one_put(), b"a", b"b") == [False, True], "a was collected in between"
    assert line.calls.count("refs/local") == 2


def test_kubo_is_asked_about_each_block() -> None:
    line = Line(b'{"Golang": "go1.24"}', b"{}", Refused("block was not found locally (offline)", is_final=False))
    assert asked(Presence(rpc(line)).for_one_put(), b"a", b"b") == [True, False]
    assert line.calls == ["version", "block/stat", "block/stat"]


def test_names_that_no_artifact_has_are_left_out() -> None:
    sha1 = str(CID("base32", 1, "raw", ("sha1", bytes(20))))
    assert artifacts(sha1) == artifacts("nonsense") == artifacts(None) == artifacts(7) == []
    assert artifacts(cid_text(GONE)) == [GONE]
    assert MAX_REMEMBERED < 2**21, "what is remembered of a node is bounded"
