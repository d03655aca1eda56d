"""Compiles the contract and keeps the committed artifact: the only module that knows a Solidity compiler.

Users and tests load the committed artifact and need no compiler. Maintainers rebuild it and compare bytes: the
same sources and settings give the same artifact with native solc and with solcjs, on every machine. Deploying,
calling and decoding are the business of the other modules of this package.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Final

from clicooper.errors import SpecError, UsageError, VerificationFailed
from clicooper.extras import extra

__all__ = [
    "ARTIFACT_NAME",
    "CONTRACT",
    "CONTRACTS",
    "SETTINGS",
    "Artifact",
    "artifact_name",
    "collect_sources",
    "compare",
    "compile_contracts",
    "digest_sources",
    "load_artifact",
    "parse",
    "render",
    "standard_json",
    "write",
]

CONTRACT: Final = "CliCooper"
CONTRACTS: Final = (CONTRACT, "CliCooperLens", "Committee")
"""What is compiled and committed, one artifact each: the contract, the views for clients, the m-of-n arbiter."""

ENTRY: Final = "contracts/CliCooper.sol"
ARTIFACT_NAME: Final = "CliCooper.json"
REMAPPINGS: Final = {"@openzeppelin/contracts/": "node_modules/@openzeppelin/contracts/"}

SETTINGS: Final[Mapping[str, Any]] = {
    "evmVersion": "shanghai",
    "optimizer": {"enabled": True, "runs": 2_000},
    "viaIR": True,
    "remappings": [f"{prefix}={target}" for prefix, target in REMAPPINGS.items()],
}
"""What decides the bytecode beside the sources; ``foundry.toml`` says the same to forge."""

OUTPUTS: Final = ("abi", "metadata", "evm.bytecode.object", "evm.deployedBytecode")

_IMPORT = re.compile(r"""^\s*import\b[^;"']*["']([^"']+)["']""", re.MULTILINE)


@dataclass(frozen=True)
class Artifact:
    """A compiled contract.

    Args:
        abi: the ABI as the compiler gives it.
        bytecode: creation code, without constructor arguments.
        runtime_bytecode: code at the deployed address; zero wherever an immutable is filled in.
        immutable_references: per immutable its places in ``runtime_bytecode``, as ``{"start", "length"}`` in bytes.
        source_digest: sha2-256 over every source that the contract is built from, libraries included.
        settings: compiler settings, see ``SETTINGS``.
        compiler: the compiler's version with its commit, without its platform.
    """

    abi: list[dict[str, Any]]
    bytecode: bytes
    runtime_bytecode: bytes
    immutable_references: dict[str, list[dict[str, int]]]
    source_digest: bytes
    settings: dict[str, Any]
    compiler: str


_HEX_FIELDS: Final = frozenset({"bytecode", "runtime_bytecode", "source_digest"})


def collect_sources(root: Path, entry: str = ENTRY) -> dict[str, str]:
    """The text of ``entry`` and of everything that it imports, by source name.

    Args:
        root: the repository, with ``npm ci`` done.
        entry: a source name, which is a path relative to ``root`` with forward slashes.

    Raises:
        UsageError: an imported file is absent.
    """
    sources: dict[str, str] = {}
    pending = [entry]
    while pending:
        name = pending.pop()
        if name in sources:
            continue
        try:
            sources[name] = (root / name).read_text(encoding="utf-8")
        except FileNotFoundError as e:
            raise UsageError(f"Solidity source {name} not found", hint="run `npm ci` in the repository first") from e
        pending.extend(_resolve(name, target) for target in _IMPORT.findall(sources[name]))
    return dict(sorted(sources.items()))


def _resolve(importer: str, target: str) -> str:
    """The source name that ``target`` means inside ``importer``."""
    if target.startswith("."):
        return posixpath.normpath(posixpath.join(posixpath.dirname(importer), target))
    for prefix, place in REMAPPINGS.items():
        if target.startswith(prefix):
            return place + target.removeprefix(prefix)
    return target


def digest_sources(sources: Mapping[str, str]) -> bytes:
    """sha2-256 over names and contents: of the canonical JSON of ``{name: sha2-256 of its text}``."""
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sources.items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True, separators=(",", ":")).encode()).digest()


def artifact_name(contract: str) -> str:
    """The file name of a contract's committed artifact."""
    return f"{contract}.json"


def compile_contracts(root: Path, solc_binary: Path, name: str = CONTRACT) -> Artifact:
    """Compiles ``contracts/<name>.sol`` from the sources under ``root``.

    Args:
        root: the repository, with ``npm ci`` done.
        solc_binary: native solc, or the shim ``scripts/solc`` over solcjs.
        name: one of ``CONTRACTS``.

    Raises:
        UsageError: py-solc-x or a source is absent, or the compiler cannot be run.
        SpecError: the compiler refuses the sources.
    """
    entry = _entry(name)
    sources = collect_sources(root, entry)
    output = _run_compiler(_standard_input(sources, name), solc_binary)
    contract = output["contracts"][entry][name]
    code = contract["evm"]
    return Artifact(
        abi=contract["abi"],
        bytecode=bytes.fromhex(code["bytecode"]["object"]),
        runtime_bytecode=bytes.fromhex(code["deployedBytecode"]["object"]),
        immutable_references=code["deployedBytecode"].get("immutableReferences", {}),
        source_digest=digest_sources(sources),
        settings=dict(SETTINGS),
        compiler=json.loads(contract["metadata"])["compiler"]["version"],
    )


def _entry(name: str) -> str:
    return f"contracts/{name}.sol"


def standard_json(root: Path, name: str = CONTRACT) -> dict[str, Any]:
    """The compiler's input, sources included, as explorers take it to verify a deployed contract.

    Args:
        root: the repository, with ``npm ci`` done.
        name: one of ``CONTRACTS``.

    Raises:
        UsageError: a source is absent.
        VerificationFailed: the sources are not those of the committed artifact, so the export would verify nothing.
    """
    sources = collect_sources(root, _entry(name))
    if digest_sources(sources) != load_artifact(name).source_digest:
        hint = "check out the release whose contract was deployed"
        raise VerificationFailed(f"the sources in {root} are not those that {name} was built from", hint=hint)
    return _standard_input(sources, name)


def _standard_input(sources: Mapping[str, str], name: str) -> dict[str, Any]:
    return {
        "language": "Solidity",
        "sources": {source: {"content": text} for source, text in sources.items()},
        "settings": {**SETTINGS, "outputSelection": {_entry(name): {name: list(OUTPUTS)}}},
    }


def _run_compiler(standard_input: dict[str, Any], solc_binary: Path) -> dict[str, Any]:
    with extra("contracts"):
        import solcx  # noqa: PLC0415 - an extra: whoever only loads the artifact does without it
    try:
        output: dict[str, Any] = solcx.compile_standard(standard_input, solc_binary=solc_binary)
    except solcx.exceptions.SolcError as e:
        raise SpecError(f"solc refused the contracts: {e.message}", hint="correct the named sources") from e
    except OSError as e:
        raise UsageError(f"cannot run the compiler {solc_binary}: {e}", hint="set SOLC_BINARY to a solc 0.8.30") from e
    return output


def render(artifact: Artifact) -> bytes:
    """The artifact as JSON, always the same bytes for the same artifact; ``parse(render(a)) == a``."""
    record = {field.name: getattr(artifact, field.name) for field in fields(artifact)}
    record |= {name: f"0x{record[name].hex()}" for name in _HEX_FIELDS}
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def parse(data: bytes) -> Artifact:
    """Reads what ``render`` wrote.

    Raises:
        SpecError: the bytes are not an artifact.
    """
    try:
        record = json.loads(data)
        record |= {name: bytes.fromhex(record[name].removeprefix("0x")) for name in _HEX_FIELDS}
        return Artifact(**record)
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise SpecError(f"not a contract artifact: {e}", hint="rebuild it with scripts/compile.py") from e


def load_artifact(name: str = CONTRACT) -> Artifact:
    """The artifact of one of ``CONTRACTS`` that this release was built with; needs no compiler."""
    return parse(resources.files("clicooper.chain").joinpath("artifacts", artifact_name(name)).read_bytes())


def write(artifact: Artifact, path: Path) -> None:
    """Writes the artifact to ``path``, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(render(artifact))


def compare(artifact: Artifact, path: Path) -> None:
    """Compares a fresh artifact with the file at ``path``, byte for byte.

    Raises:
        VerificationFailed: the file is absent or differs; the message names the fields.
    """
    hint = "run scripts/compile.py and commit the result"
    if not path.exists():
        raise VerificationFailed(f"no artifact at {path}", hint=hint)
    if (data := path.read_bytes()) == render(artifact):
        return
    committed = parse(data)
    names = [f.name for f in fields(artifact) if getattr(artifact, f.name) != getattr(committed, f.name)]
    raise VerificationFailed(f"{path.name} differs from its sources in: {', '.join(names) or 'layout'}", hint=hint)
