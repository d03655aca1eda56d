"""The configuration: which source wins, what is refused and in whose words, and that its documentation is complete."""

import os
import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from clicooper.config import SETTINGS_FILE, Settings, load_config
from clicooper.errors import UsageError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(folder: Path, text: str) -> None:
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")


def refusal(**arguments: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load_config(**arguments)
    return caught.value


def test_argument_beats_environment_beats_file_beats_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_config().rounds == 3
    settings(folder, "rounds = 5")
    assert load_config().rounds == 5
    monkeypatch.setenv("CLICOOPER_ROUNDS", "7")
    assert load_config().rounds == 7
    assert load_config(rounds=9).rounds == 9


def test_absent_argument_and_empty_variable_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICOOPER_ROUNDS", "")
    assert load_config(rounds=None) == Settings()


@pytest.mark.parametrize("text", ["128,256", "[128, 256]", "(128, 256)", " 128 , 256 "])
def test_sizes_from_the_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICOOPER_WIDTHS", text)
    assert load_config().widths == (128, 256)


def test_sizes_from_the_file(folder: Path) -> None:
    settings(folder, "widths = [128, 256]\nactivation_shape = [3, 8, 8]")
    assert (load_config().widths, load_config().activation_shape) == ((128, 256), (3, 8, 8))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rounds", 0),
        ("rounds", 1001),
        ("trainers", 1),
        ("trainers", 33),
        ("epsilon", 0),
        ("epsilon", -1),
        ("epsilon", float("nan")),
        ("epsilon", float("inf")),
        ("delta", 1),
        ("gamma", 0),
        ("label_epsilon", 0),
        ("label_epsilon", 65),
        ("group", 0),
        ("seed", -1),
        ("seed", 2**63),
        ("momentum", 1),
        ("mark_bits", 63),
        ("pay_wei", 0),
        ("widths", (128, 0)),
        ("activation_shape", (-1,)),
        ("optimizer", "lion"),
        ("head", "disjoined"),
        ("head", "model.npz"),
        ("head_records", -1),
        ("head_epsilon", 0),
        ("network", "mainnet"),
        ("network", "ws://127.0.0.1:8545"),
        ("network", "http://[broken"),
    ],
)
def test_value_out_of_range_is_refused_in_the_words_of_its_user(name: str, value: object) -> None:
    error = refusal(**{name: value})
    assert error.message.startswith(f"--{name.replace('_', '-')} {value}: ")
    assert error.hint == f"{name}: {Settings.model_fields[name].description}"


@pytest.mark.parametrize("head", ["random", "dp-sgd", "folder/public.safetensors"])
def test_heads_that_need_no_records_may_have_none(head: str) -> None:
    assert load_config(head=head, head_records=0).head == head


def test_smoothing_beside_randomised_labels_is_refused(folder: Path) -> None:
    both = {"label_epsilon": 2.0, "label_loss": "corrected", "label_smoothing": 0.1}
    assert refusal(**both).message.startswith("--label-smoothing 0.1: a corrected label_loss")
    assert load_config(label_epsilon=2.0, label_smoothing=0.1).label_smoothing == 0.1
    settings(folder, 'label_loss = "corrected"')
    assert refusal(label_smoothing=0.1).hint == "label_smoothing: label smoothing, from 0 to below 1"


def test_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICOOPER_ROUNDS", "many")
    assert refusal().message.startswith("CLICOOPER_ROUNDS=many: ")


def test_bad_line_of_the_file_is_named(folder: Path) -> None:
    settings(folder, 'rounds = "many"')
    assert refusal().message.startswith("clicooper.toml: rounds = 'many': ")


@pytest.mark.parametrize("variable", ["CLICOOPER_WIDTHS", "CLICOOPER_ACTIVATION_SHAPE"])
def test_bad_sizes_are_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "wide")
    assert refusal().message.startswith(f"{variable}=wide: ")


def test_misspelt_key_does_not_pass_for_the_default(folder: Path) -> None:
    settings(folder, "epslon = 1.0")
    error = refusal()
    assert error.message == "clicooper.toml: there is no setting 'epslon'"
    assert error.hint == "did you mean epsilon?"


def test_unknown_section_is_refused(folder: Path) -> None:
    settings(folder, "[zzzz]\nrounds = 1")
    assert "docs/configuration.md" in refusal().hint


def test_misspelt_variable_does_not_pass_for_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICOOPER_EPSLON", "1")
    error = refusal()
    assert error.message == "CLICOOPER_EPSLON is no setting"
    assert error.hint == "did you mean CLICOOPER_EPSILON?"


def test_foreign_variable_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICOOPER_PASSWORD_FILE", "/run/secrets/password")
    assert load_config() == Settings()


@pytest.mark.parametrize("content", [b"rounds = ", b"\xff\xfe", b"rounds = 1\nrounds = 2\n"])
def test_damaged_file_is_refused(folder: Path, content: bytes) -> None:
    (folder / SETTINGS_FILE).write_bytes(content)
    error = refusal()
    assert error.message.startswith("clicooper.toml cannot be read: ")
    assert error.hint == "fix the file or remove it"


def test_every_field_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    assert all(field.default is not PydanticUndefined for field in Settings.model_fields.values())


def test_documentation_lists_every_key_with_its_default_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    expected = [(name, _shown(field.default), field.description) for name, field in Settings.model_fields.items()]
    assert rows == expected


def _shown(default: object) -> str:
    """A default as the table writes it: TOML, or a dash where the program chooses."""
    if default is None or default in ((), {}):
        return "–"
    return f'`"{default}"`' if isinstance(default, (str, Path)) else f"`{default}`"


NUMBERS = ["rounds", "pay_wei", "seed", "epsilon", "label_epsilon", "head_epsilon", "store_timeout", "momentum"]
WRITTEN = [
    *(
        f"{name} = {value}"
        for name in NUMBERS
        for value in ("true", "false", '"1"', "[1]", "{}", "nan", "-inf", "2026-01-01")
    ),
    *(
        f"{name} = {value}"
        for name in ("rounds", "seed", "pay_wei")
        for value in ("1.5", "1e300", "9007199254740993.0")
    ),
    "epsilon = " + "9" * 400,
    *(f"widths = {value}" for value in ("[true]", '["128"]', "[1.5]", '"128,128"', "128", "true", "{}", "[[1]]")),
    *(f"networks = {value}" for value in ('"lab=http://127.0.0.1:1"', "true", "[]", "{lab = 5}")),
    *(
        f"{name} = {value}"
        for name in ("account", "home", "password_file", "data", "optimizer")
        for value in ("true", "1")
    ),
]


@pytest.mark.parametrize("line", WRITTEN)
def test_value_of_another_kind_in_the_file_is_refused_with_its_source(line: str, folder: Path) -> None:
    settings(folder, line)
    name = line.split(maxsplit=1)[0]
    # A network's address may hold a key, so that none is shown.
    shown = f"clicooper.toml: {name}" + ("" if name == "networks" else " = ")
    assert refusal().message.startswith(shown)
    assert refusal().hint.startswith(f"{name}: ")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["true", "nan", "inf", "[1]", "one"])
def test_variable_of_another_kind_is_refused_with_its_source(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CLICOOPER_{name.upper()}", value)
    assert refusal().message.startswith(f"CLICOOPER_{name.upper()}={value}: ")


@pytest.mark.parametrize("value", [True, "5", [5], 5.5])
def test_argument_of_another_kind_is_refused_with_its_source(value: object) -> None:
    assert refusal(rounds=value).message.startswith(f"--rounds {value}: ")


def test_numbers_are_read_as_they_are_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(folder, "epsilon = 2\npay_wei = 1e15\nwidths = [128]\nlabel_epsilon = 0.5")
    config = load_config()
    assert (config.epsilon, config.pay_wei, config.widths, config.label_epsilon) == (2.0, 10**15, (128,), 0.5)
    monkeypatch.setenv("CLICOOPER_EPSILON", "3")
    monkeypatch.setenv("CLICOOPER_PAY_WEI", "123456789012345678")
    assert (load_config().epsilon, load_config().pay_wei) == (3.0, 123456789012345678)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_file_that_windows_wrote_is_read(encoding: str, folder: Path) -> None:
    (folder / SETTINGS_FILE).write_bytes('rounds = 5\r\ndata = "ü"\r\n'.encode(encoding))
    assert (load_config().rounds, load_config().data) == (5, "ü")


def test_file_that_is_a_folder_a_pipe_or_endless_is_refused(folder: Path) -> None:
    (folder / SETTINGS_FILE).mkdir()
    assert "no regular file" in refusal().message
    (folder / SETTINGS_FILE).rmdir()
    os.mkfifo(folder / SETTINGS_FILE)
    assert "no regular file" in refusal().message
    (folder / SETTINGS_FILE).unlink()
    settings(folder, "#" * (1 << 20) + "\nrounds = 5")
    assert "larger" in refusal().message


def test_file_nested_without_end_is_refused(folder: Path) -> None:
    settings(folder, "widths = " + "[" * 20_000)
    assert "nested too deep" in refusal().message


KEY = "KEY0123456789abcdef"


@pytest.mark.parametrize(
    "line",
    [
        f'network = "wss://mainnet.example/ws/v3/{KEY}"',
        f'network = ["https://mainnet.example/v3/{KEY}"]',
        f'network = ["mainnet.example/v3/{KEY}"]',
        f'networks = "https://mainnet.example/v3/{KEY}"',
        f'networks = ["https://mainnet.example/v3/{KEY}"]',
        f'store = "https://mainnet.example/{KEY}"',
        f'store = "ipfs:wss://mainnet.example/{KEY}"',
        f'head = "https://mainnet.example/{KEY}"',
        f'[networks]\nlab = "wss://mainnet.example/ws/v3/{KEY}"',
        f'[networks]\nlab = ["https://mainnet.example/v3/{KEY}"]',
        f'[networks]\n"https://mainnet.example/v3/{KEY}" = "http://lab"',
        f'network = "wss://mainnet.example/ws/v3/{KEY}',
    ],
)
def test_refused_address_in_the_file_keeps_its_key(folder: Path, line: str) -> None:
    settings(folder, line)
    assert KEY not in refusal().diagnostics()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CLICOOPER_NETWORK", f"wss://mainnet.example/ws/v3/{KEY}"),
        ("CLICOOPER_NETWORK", f"https://user:{KEY}@mainnet.example:port"),
        ("CLICOOPER_NETWORKS", f"lab=wss://mainnet.example/ws/v3/{KEY}"),
        ("CLICOOPER_NETWORKS", f"https://mainnet.example/v3/{KEY}"),
        ("CLICOOPER_NETWORKS", f"lab=https://mainnet.example/?a=1,{KEY}"),
        ("CLICOOPER_STORE", f"ipfs:wss://mainnet.example/{KEY}"),
    ],
)
def test_refused_address_in_the_environment_keeps_its_key(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    error = refusal()
    assert variable in error.message
    assert KEY not in error.diagnostics()
