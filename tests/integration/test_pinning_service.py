"""Remote pinning against a server of the standard API: what is asked for, waited for, retried and refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from multiformats import CID

from clicooper.errors import StorageError, UsageError
from clicooper.storage.ipld.cid import block_cid, cid_text, parse_cid
from clicooper.storage.pins.pinning_service import PinningService, read_token, remote_name
from tests.cli_calls import Capture, answered, refused
from tests.pinning_server import TOKEN, Answer, PinningState, pinning_server

CIDS = [block_cid(bytes([i]), "raw") for i in range(25)]


@pytest.fixture
def server() -> Iterator[PinningState]:
    with pinning_server() as state:
        yield state


class Time:
    """A clock that runs only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now


def service(state: PinningState, token: str = TOKEN, **options: Any) -> PinningService:
    time = Time()
    return PinningService(state.url, token, sleep=time.sleep, clock=time.clock, **options)


def test_everything_is_pinned_in_the_end(server: PinningState) -> None:
    steps: list[tuple[int, int]] = []
    done = service(server).pin_all(CIDS, name="job", progress=lambda _what, n, total: steps.append((n, total)))
    assert done == dict.fromkeys(CIDS, "pinned")
    assert server.pinned() == {cid_text(cid) for cid in CIDS}
    assert {item["pin"]["name"] for item in server.pins.values()} == {"job"}
    assert steps[0] == (0, 25)


def test_pinning_again_asks_for_nothing_twice(server: PinningState) -> None:
    service(server).pin_all(CIDS[:12], name="job")
    server.requests.clear()
    service(server).pin_all(CIDS[:13], name="job")
    assert [method for method, _ in server.requests].count("POST") == 1
    assert len(server.pins) == 13


def test_a_request_can_be_looked_up_and_withdrawn(server: PinningState) -> None:
    client = service(server)
    added = client.add(CIDS[0], "job")
    assert (added.status, added.cid) == ("queued", cid_text(CIDS[0]))
    assert client.status(added.request_id).status == "pinning"
    assert client.find(CIDS) == {added.cid: client.find([CIDS[0]])[added.cid]}
    client.remove(added.request_id)
    assert client.find(CIDS) == {}
    with pytest.raises(StorageError, match="404"):
        client.status(added.request_id)


def test_a_block_that_is_kept_alone_goes_by_its_raw_name() -> None:
    record = block_cid(b"record", "dag-cbor")
    assert remote_name(record, "direct") == block_cid(b"record", "raw")
    assert remote_name(record, "recursive") == record


def test_transient_faults_are_retried(server: PinningState) -> None:
    answers: list[Answer] = [(500, {}, b"oops"), (503, {}, b""), (429, {}, b"slow down"), (502, {}, b"<html>")]
    server.intercept = lambda *_: answers.pop() if answers else None
    assert service(server).pin_all(CIDS[:1], name="job") == {CIDS[0]: "pinned"}
    assert not answers


def test_a_service_that_stays_down_is_a_storage_error(server: PinningState) -> None:
    server.intercept = lambda *_: (500, {}, b"")
    with pytest.raises(StorageError, match="status 500") as e:
        service(server, retries=3).pin_all(CIDS[:1], name="job")
    assert len(server.requests) == 4
    assert e.value.exit_code == 3 and e.value.hint


def test_no_service_at_all_is_a_storage_error() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        state = PinningState(url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(StorageError, match="does not answer"):
            service(state, retries=1).find(CIDS)


def test_a_service_that_accepts_and_never_answers_is_a_storage_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        state = PinningState(url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StorageError, match="does not answer"):
            service(state, retries=0, timeout_s=0.2).find(CIDS)


def test_what_the_service_cannot_fetch_is_named(server: PinningState) -> None:
    server.unfetchable = {cid_text(CIDS[1])}
    with pytest.raises(StorageError, match=cid_text(CIDS[1])):
        service(server).pin_all(CIDS[:3], name="job")


def test_a_service_that_never_finishes_is_not_waited_for_for_ever(server: PinningState) -> None:
    server.stuck = {cid_text(CIDS[0])}
    with pytest.raises(StorageError, match="not pinned 1 artifacts in time"):
        service(server, patience_s=60).pin_all(CIDS[:3], name="job")


# --- the token ---


def test_a_wrong_token_is_refused_and_appears_nowhere(server: PinningState, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    client = service(server, token="wrong-secret")
    with pytest.raises(StorageError, match="token") as e:
        client.add(CIDS[0], "job")
    assert "wrong-secret" not in e.value.diagnostics() + caplog.text + repr(client)


def test_the_token_does_not_follow_a_redirect(server: PinningState) -> None:
    with pinning_server() as thief:
        stolen: list[dict[str, str]] = []
        thief.intercept = lambda _method, _path, headers: stolen.append(headers)  # type: ignore[func-returns-value]
        server.intercept = lambda *_: (307, {"Location": f"{thief.url}/pins"}, b"")
        with pytest.raises(StorageError, match="307"):
            service(server).add(CIDS[0], "job")
        assert stolen == []


@pytest.mark.parametrize(
    "url",
    [
        "http://pinning.example/v1",
        "ftp://127.0.0.1/",
        "https://user:secret@pinning.example",
        "https://pinning.example/?token=secret",
        "https://",
        "https://pinning.example:99999",
        "pinning.example",
        "",
    ],
)
def test_the_token_does_not_go_to_an_unsafe_address(url: str) -> None:
    with pytest.raises(UsageError) as e:
        PinningService(url, TOKEN)
    assert "secret" not in e.value.diagnostics()


def test_the_token_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    assert read_token(path) == TOKEN
    monkeypatch.setenv("CLICOOPER_PINNING_TOKEN", "other")
    assert read_token(None) == "other"
    monkeypatch.delenv("CLICOOPER_PINNING_TOKEN")
    for content in (b"", b"two words", b"\xff", b"line\nline", b"a" * 5000):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="token"):
            read_token(path)
    for absent in (None, tmp_path / "absent"):
        with pytest.raises(UsageError):
            read_token(absent)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_token_that_windows_wrote_is_read(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(f"{TOKEN}\r\n".encode(encoding))
    assert read_token(tmp_path / "token") == TOKEN


def test_token_in_an_unmarked_encoding_is_told_so_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(TOKEN.encode("utf-16-le"))
    with pytest.raises(UsageError, match="UTF-8") as caught:
        read_token(tmp_path / "token")
    assert TOKEN not in caught.value.diagnostics()


# --- hostile answers ---

LEAF = cid_text(CIDS[0])
HOSTILE: dict[str, bytes] = {
    "HTML": b"<html>502</html>",
    "a list": b"[]",
    "nested": b"[" * 100_000,
    "no results": b"{}",
    "results of nothing": b'{"results": [{}]}',
    "an unknown status": json.dumps({"results": [{"requestid": "r", "status": "kept", "pin": {"cid": LEAF}}]}).encode(),
    "a status of no text": json.dumps({"results": [{"requestid": "r", "status": {}, "pin": {"cid": LEAF}}]}).encode(),
    "a request id with control characters": json.dumps(
        {"results": [{"requestid": "\x1b[2J", "status": "pinned", "pin": {"cid": LEAF}}]}
    ).encode(),
    "more than a mebibyte": b'{"results": [' + b" " * (2 << 20) + b"]}",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_answer_is_refused(kind: str, server: PinningState) -> None:
    server.intercept = lambda *_: (200, {}, HOSTILE[kind])
    with pytest.raises(StorageError, match="answers with") as e:
        service(server).find(CIDS[:1])
    assert e.value.message.isprintable() and len(e.value.message) < 200


def test_a_status_of_another_request_does_not_count(server: PinningState) -> None:
    other = {"requestid": "other", "status": "pinned", "pin": {"cid": cid_text(CIDS[9])}}

    def lie(method: str, path: str, _headers: dict[str, str]) -> Answer | None:
        return (200, {}, json.dumps(other).encode()) if method == "GET" and path.startswith("/pins/") else None

    server.intercept = lie
    with pytest.raises(StorageError, match="another request"):
        service(server).pin_all(CIDS[:1], name="job")


def test_names_that_nobody_asked_for_do_not_count(server: PinningState) -> None:
    service(server).pin_all(CIDS[5:6], name="job")
    found = [{"requestid": "r", "status": "pinned", "pin": {"cid": cid_text(CIDS[5])}}]
    server.intercept = lambda *_: (200, {}, json.dumps({"results": found}).encode())
    assert service(server).find(CIDS[:1]) == {}


# --- the command ---


def test_the_command_hands_a_whole_set_over(server: PinningState, tmp_path: Path, capsys: Capture) -> None:
    home, token, source = str(tmp_path / "home"), tmp_path / "token", tmp_path / "file"
    token.write_text(TOKEN)
    source.write_bytes(bytes(600_000))
    added: list[CID] = []
    for size in (1, 300_000):
        source.write_bytes(bytes(size))
        added.append(parse_cid(answered(capsys, "--home", home, "store", "add", str(source))["cid"]))
    arguments = ("--home", home, "store", "pin", "--remote", server.url, "--token-file", str(token))
    result = answered(capsys, *arguments)
    assert result["remote"] == [{"cid": str(cid), "status": "pinned"} for cid in added]
    assert server.pinned() == {str(cid) for cid in added}
    assert TOKEN not in json.dumps(result)


def test_the_command_without_a_token_or_a_set_is_bad_input(
    server: PinningState, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLICOOPER_PINNING_TOKEN", raising=False)
    home = str(tmp_path / "home")
    refused(capsys, "--home", home, "store", "pin", "--remote", server.url)
    source = tmp_path / "file"
    source.write_bytes(b"x")
    answered(capsys, "--home", home, "store", "add", str(source))
    refused(capsys, "--home", home, "store", "pin", "--remote", server.url)
    assert server.requests == []
