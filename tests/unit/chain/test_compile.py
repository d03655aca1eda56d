"""The committed artifact, its codec, and the rebuild that must give the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clicooper.chain.compile import (
    ARTIFACT_NAME,
    CONTRACTS,
    SETTINGS,
    collect_sources,
    compare,
    compile_contracts,
    digest_sources,
    load_artifact,
    parse,
    render,
    write,
)
from clicooper.errors import SpecError, UsageError, VerificationFailed

ROOT = Path(__file__).resolve().parents[3]
ARTIFACT = ROOT / "clicooper" / "chain" / "artifacts" / ARTIFACT_NAME
SHIM = ROOT / "scripts" / "solc"

needs_npm = pytest.mark.usefixtures("_npm_ci_done")


@pytest.fixture
def _npm_ci_done() -> None:
    assert (ROOT / "node_modules" / "solc").is_dir(), "run `npm ci` in the repository first"


def _copy_sources(target: Path) -> None:
    for name in collect_sources(ROOT):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)


def _compile(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "scripts" / "compile.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


def test_load_artifact_needs_no_compiler() -> None:
    code = (
        "import sys; from clicooper.chain.compile import load_artifact; load_artifact(); print('solcx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_artifact_holds_what_clients_need() -> None:
    artifact = load_artifact()
    functions = {entry["name"] for entry in artifact.abi if entry["type"] == "function"}
    errors = {entry["name"] for entry in artifact.abi if entry["type"] == "error"}
    assert {"createJob", "join", "commit", "accept", "resolveTimeout", "withdraw", "jobOf"} <= functions
    assert {"StaleHead", "WrongPhase", "ReentrancyGuardReentrantCall"} <= errors
    assert artifact.runtime_bytecode in artifact.bytecode
    assert len(artifact.runtime_bytecode) <= 24_576  # the limit of EIP-170
    assert artifact.immutable_references == {}
    assert artifact.compiler == "0.8.30+commit.73712a01"
    assert artifact.settings == SETTINGS


def test_render_and_parse_are_inverse() -> None:
    artifact = load_artifact()
    assert parse(render(artifact)) == artifact
    assert render(artifact) == ARTIFACT.read_bytes()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"bytecode": 3}', b"\xff"])
def test_parse_refuses_anything_else(data: bytes) -> None:
    with pytest.raises(SpecError):
        parse(data)


def test_parse_refuses_unknown_fields() -> None:
    record = json.loads(ARTIFACT.read_bytes()) | {"signature": "0x"}
    with pytest.raises(SpecError, match="signature"):
        parse(json.dumps(record).encode())


@needs_npm
def test_artifact_is_built_from_these_sources() -> None:
    assert digest_sources(collect_sources(ROOT)) == load_artifact().source_digest


@needs_npm
def test_sources_include_the_libraries() -> None:
    names = set(collect_sources(ROOT))
    assert {"contracts/CliCooper.sol", "contracts/interfaces/ICliCooper.sol"} <= names
    assert any(name.startswith("node_modules/@openzeppelin/contracts/") for name in names)


@needs_npm
def test_source_digest_depends_on_names_and_every_text() -> None:
    sources = collect_sources(ROOT)
    digest = digest_sources(sources)
    assert digest_sources(dict(reversed(sources.items()))) == digest
    for name in sources:
        assert digest_sources(sources | {name: sources[name] + " "}) != digest
        renamed = {("x" if key == name else key): text for key, text in sources.items()}
        assert digest_sources(renamed) != digest


def test_imports_are_found_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "A.sol").write_text(
        'import "./lib/B.sol";\nimport {\n    C\n} from \'./lib/C.sol\';\nimport * as D from "lib/D.sol";\n'
    )
    for name, text in {"B": "import './C.sol';", "C": "", "D": 'import "../A.sol";'}.items():
        (tmp_path / "lib" / f"{name}.sol").write_text(text)
    assert list(collect_sources(tmp_path, "A.sol")) == ["A.sol", "lib/B.sol", "lib/C.sol", "lib/D.sol"]


def test_missing_source_names_npm_ci(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"contracts/CliCooper\.sol") as caught:
        collect_sources(tmp_path)
    assert "npm ci" in caught.value.hint


@needs_npm
def test_rebuild_gives_the_committed_bytes() -> None:
    done = _compile("--check")
    assert done.returncode == 0, done.stderr
    assert "matches its sources" in done.stdout


@needs_npm
def test_rebuild_does_not_depend_on_its_place(tmp_path: Path) -> None:
    _copy_sources(tmp_path)
    assert render(compile_contracts(tmp_path, SHIM)) == ARTIFACT.read_bytes()


@needs_npm
def test_shim_works_from_a_copy(tmp_path: Path) -> None:
    copy = tmp_path / "solc"
    shutil.copy(SHIM, copy)
    standard = json.dumps({"language": "Solidity", "sources": {"A.sol": {"content": "contract A {}"}}})
    for place, environment in [(ROOT, {}), (tmp_path, {"SOLCJS_HOME": str(ROOT / "node_modules" / "solc")})]:
        env = {key: value for key, value in os.environ.items() if key != "SOLCJS_HOME"} | environment
        done = subprocess.run(
            [str(copy), "--standard-json"],
            input=standard,
            capture_output=True,
            text=True,
            cwd=place,
            env=env,
            check=True,
        )
        assert "A.sol" in json.loads(done.stdout)["sources"]


@needs_npm
def test_refused_source_is_named(tmp_path: Path) -> None:
    _copy_sources(tmp_path)
    contract = tmp_path / "contracts" / "CliCooper.sol"
    contract.write_text(contract.read_text().replace("CliCooper is Opening", "CliCooper is uint257, Opening"))
    with pytest.raises(SpecError, match="refused the contracts"):
        compile_contracts(tmp_path, SHIM)


@needs_npm
def test_absent_compiler_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot run the compiler"):
        compile_contracts(ROOT, tmp_path / "no-such-solc")
    done = _compile("--check", SOLC_BINARY=str(tmp_path / "no-such-solc"))
    assert done.returncode == 2
    assert "SOLC_BINARY" in done.stderr


def test_compare_rejects_swapped_bytecode(tmp_path: Path) -> None:
    artifact = load_artifact()
    path = tmp_path / "nested" / ARTIFACT_NAME
    with pytest.raises(VerificationFailed, match="no artifact"):
        compare(artifact, path)
    write(replace(artifact, runtime_bytecode=artifact.runtime_bytecode[:-1] + b"\x00"), path)
    with pytest.raises(VerificationFailed, match="runtime_bytecode"):
        compare(artifact, path)
    write(artifact, path)
    compare(artifact, path)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(VerificationFailed, match="layout"):
        compare(artifact, path)


def test_foundry_compiles_with_the_same_settings() -> None:
    import tomllib

    profile = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    optimizer = SETTINGS["optimizer"]
    [contracts] = profile["additional_compiler_profiles"]
    assert (contracts["optimizer"], contracts["optimizer_runs"]) == (optimizer["enabled"], optimizer["runs"])
    assert contracts["via_ir"] == SETTINGS["viaIR"]
    assert profile["compilation_restrictions"] == [
        {"paths": f"contracts/{name}.sol", "via_ir": SETTINGS["viaIR"], "optimizer_runs": optimizer["runs"]}
        for name in CONTRACTS
    ]
    assert profile["remappings"] == SETTINGS["remappings"]
