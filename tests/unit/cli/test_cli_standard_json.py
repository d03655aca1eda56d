"""``clicooper contract standard-json``: what an explorer compiles is what was deployed."""

import json
import shutil
from pathlib import Path

import pytest

from clicooper.chain.compile import SETTINGS, collect_sources, digest_sources, load_artifact
from tests.cli_calls import answered, printed, refused

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", ["CliCooper", "CliCooperLens", "Committee"])
def test_export_holds_the_sources_and_settings_of_the_artifact(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = answered(capsys, "contract", "standard-json", "--contract", name, "--sources", str(ROOT))
    exported, artifact = result["standard_json"], load_artifact(name)
    assert result["entry"] == f"contracts/{name}.sol:{name}"
    assert result["entry"].split(":")[0] in exported["sources"]
    sources = {source: entry["content"] for source, entry in exported["sources"].items()}
    assert digest_sources(sources) == artifact.source_digest
    assert {key: exported["settings"][key] for key in SETTINGS} == artifact.settings == dict(SETTINGS)
    assert result["compiler"] == artifact.compiler


def test_export_to_a_file_and_to_stdout_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "input.json"
    arguments = ("contract", "standard-json", "--sources", str(ROOT))
    assert answered(capsys, *arguments, "--out", str(out))["file"] == str(out)
    assert json.loads(printed(capsys, *arguments)).keys() == json.loads(out.read_text()).keys()
    assert json.loads(out.read_text()) == answered(capsys, *arguments)["standard_json"]
    assert refused(capsys, *arguments, "--out", str(tmp_path)).startswith(f"cannot write {tmp_path}")


def test_one_changed_source_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in collect_sources(ROOT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    contract = tmp_path / "contracts" / "CliCooper.sol"
    contract.write_text(contract.read_text() + "\n")
    message = refused(
        capsys, "contract", "standard-json", "--sources", str(tmp_path), code=1, kind="VerificationFailed"
    )
    assert message == f"the sources in {tmp_path} are not those that CliCooper was built from"
