"""A job of sealed files that pins its rounds as they are accepted."""

from __future__ import annotations

from typing import Any

from multiformats import CID

from clicooper.commitments.canonical import encode
from clicooper.storage.base import Store, put_bytes
from clicooper.storage.pins.retention import JobRetention

SEATS = 2


def content(what: str) -> bytes:
    return (what * 40_000).encode()[:300_000]


def sealed(store: Store, what: str) -> dict[str, Any]:
    """A file as a manifest links it when it is sealed."""
    return {"author": bytes(20), "ciphertext": put_bytes(store, content(what)), "plaintext_digest": bytes(32)}


def manifest(store: Store, spec: CID, round_: int, seat: int, previous: CID | None) -> CID:
    """A record with the shape of a manifest, its files sealed."""
    last = f"round {round_ - 1} seat {seat}" if round_ else f"initial seat {seat}"
    now = f"round {round_} seat {seat}"
    record = {
        "spec": spec,
        "previous": previous,
        "state_in": {
            "weights": sealed(store, f"{last} out"),
            "optimizer": sealed(store, f"{last} optimizer") if round_ else None,
        },
        "trained": sealed(store, f"{now} trained"),
        "out": sealed(store, f"{now} out"),
        "optimizer": sealed(store, f"{now} optimizer"),
        "transcript": {
            "leaves": sealed(store, f"{now} leaves"),
            "states": [{"weights": sealed(store, f"{now} interval {i}"), "optimizer": None} for i in range(2)],
        },
    }
    return store.put_block(encode(record))


def run_job(retention: JobRetention, store: Store, rounds: int = 3) -> tuple[CID, list[list[CID]]]:
    """A job up to its last accepted round; its spec and manifests."""
    retention.begin([])
    spec = store.put_block(encode({"release": put_bytes(store, content("release"))}))
    retention.begin([spec])
    done: list[list[CID]] = []
    for round_ in range(rounds):
        last: list[Any] = done[-1] if done else [None] * SEATS
        done.append([manifest(store, spec, round_, seat, last[seat]) for seat in range(SEATS)])
        retention.pin_round(round_, done[-1])
    return spec, done
