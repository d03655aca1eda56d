"""What `make halmos` noted speaks of the committed bytecode and of the proofs as they are written down."""

import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SYMBOLIC = sorted((ROOT / "tests" / "contract" / "symbolic").glob("*.sol"))
ARTIFACT = ROOT / "clicooper" / "chain" / "artifacts" / "CliCooper.json"
NOTES = json.loads((ROOT / "tests" / "contract" / "proofs.json").read_text())
CONTRACT = re.compile(r"^(abstract )?contract (\w+) is (\w+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
AGAIN = "run `make halmos`"


def proofs_written_down() -> set[str]:
    """Every check of every contract that is a proof, inherited ones included."""
    found = [match.groups() for path in SYMBOLIC for match in CONTRACT.finditer(path.read_text())]
    base = {name: parent for _, name, parent, _ in found}
    own = {name: re.findall(r"function (check_\w+)\(", body) for _, name, _, body in found}
    names = set()
    for abstract, name, _, _ in found:
        ancestor: str | None = None if abstract else name
        while ancestor is not None:
            names |= {f"{name}.{check}" for check in own.get(ancestor, [])}
            ancestor = base.get(ancestor)
    return names


def test_the_notes_are_about_the_committed_bytecode() -> None:
    """But for the metadata at its end, which nothing executes: its length is in the last two bytes."""
    code = json.loads(ARTIFACT.read_text())["bytecode"]
    executed = code[: -2 * (int(code[-4:], 16) + 2)]
    assert NOTES["code"] == hashlib.sha256(executed.encode()).hexdigest(), AGAIN


def test_the_notes_are_about_the_proofs_as_they_are_written() -> None:
    assert NOTES["statements"] == hashlib.sha256(b"".join(p.read_bytes() for p in SYMBOLIC)).hexdigest(), AGAIN


def test_every_proof_that_is_written_down_was_proven() -> None:
    assert len(proofs_written_down()) == 13 * 14 + 6 + 8
    assert NOTES["results"] == dict.fromkeys(proofs_written_down(), "proven"), AGAIN
