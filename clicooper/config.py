"""A job's terms and a party's own settings, and where their values come from.

Precedence: explicit argument, then ``CLICOOPER_*`` in the environment, then ``clicooper.toml`` in the working
directory, then the default. A value that cannot be used is refused together with its source, and so is a setting
that does not exist: a misspelt privacy parameter must not pass for its default. Nothing here reads data, keys or
the network.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from clicooper.errors import UsageError
from clicooper.setting_sources import EnvironmentSource, SettingsFileSource, TypedModel
from clicooper.urls import hide_paths, shown_address

__all__ = [
    "BUILT_IN_NETWORKS",
    "DISJOINT",
    "DP_SGD",
    "EMBEDDED",
    "HEADS",
    "IPFS_URL",
    "RANDOM",
    "SETTINGS_FILE",
    "ClientConfig",
    "JobConfig",
    "Setting",
    "Settings",
    "explain_config",
    "load_config",
]

SETTINGS_FILE = "clicooper.toml"
PREFIX = "CLICOOPER_"
EMBEDDED = "embedded"
LOCAL = "local"
IPFS = "ipfs"
DISJOINT, RANDOM, DP_SGD = "disjoint", "random", "dp-sgd"
HEADS = (DISJOINT, RANDOM, DP_SGD)
"""The kinds of head that are made here; any other is read from a file."""

HEAD_SUFFIX = ".safetensors"
IPFS_URL = "http://127.0.0.1:5001"
"""Where an IPFS node has its RPC by default."""

_MULTIADDR = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/[^/]+/tcp/[0-9]{1,5}(/https?)?/?")

BUILT_IN_NETWORKS: Mapping[str, str] = {
    EMBEDDED: EMBEDDED,
    "anvil": "http://127.0.0.1:8545",
    "ganache": "http://127.0.0.1:8545",
}
"""Networks that need no setting: both development nodes listen on the same port by default."""


def _split_numbers(value: object) -> object:
    """Text such as ``128,128``, as the environment holds it, as a list."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]


def _split_names(value: object) -> object:
    """Text such as ``sepolia=https://rpc.example,lab=http://10.0.0.7:8545`` as a table."""
    if not isinstance(value, str):
        return value
    pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
    return {name.strip(): url.strip() for name, _, url in pairs}


Names = Annotated[dict[str, str], NoDecode, BeforeValidator(_split_names)]
Sizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=2**20)], ...], NoDecode, BeforeValidator(_split_numbers), Field(max_length=64)
]


_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0


class ClientConfig(TypedModel):
    """Where a party works and as whom: its folder, node, store and keystore. No term of any job.

    Each field's description is what an error's hint and docs/configuration.md say about it.
    """

    model_config = _STRICT

    home: Path = Field(default=Path(".clicooper"), description="folder of the run folders")
    networks: Names = Field(default={}, description="names for nodes: a table of http(s) URLs")
    network: str = Field(
        default=EMBEDDED, description="embedded, anvil, ganache, a name of yours, or the http(s) URL of an EVM node"
    )
    store: str = Field(
        default=LOCAL,
        description="local, ipfs for the node on this machine, or ipfs: and the URL or multiaddr of a node's RPC",
    )
    store_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="seconds for which an IPFS node may look for a block, above 0"
    )
    account: str | None = Field(default=None, description="name of the keystore that acts")
    password_file: Path | None = Field(default=None, description="file whose first line opens that keystore")

    @field_validator("networks")
    @classmethod
    def _check_networks(cls, value: dict[str, str]) -> dict[str, str]:
        for name, url in value.items():
            if not url:
                raise ValueError("a network has no URL, or one with a comma in it")
            if name in BUILT_IN_NETWORKS or "/" in name or not name:
                raise ValueError(f"the name {shown_address(name)!r} is taken or unusable")
            if not _is_url(url):
                raise ValueError(f"{name} is not an http(s) URL")
        return value

    @field_validator("network")
    @classmethod
    def _check_network(cls, value: str, info: ValidationInfo) -> str:
        if value not in BUILT_IN_NETWORKS and value not in info.data.get("networks", {}) and not _is_url(value):
            raise ValueError("neither the name of a network nor an http(s) URL")
        return value

    @field_validator("store")
    @classmethod
    def _check_store(cls, value: str) -> str:
        kind, _, address = value.partition(":")
        if value in (LOCAL, IPFS) or (kind == IPFS and (_is_url(address) or _MULTIADDR.fullmatch(address))):
            return value
        raise ValueError("neither local nor ipfs, nor ipfs: and the address of a node")

    @property
    def ipfs_url(self) -> str | None:
        """The IPFS node that keeps the artifacts; None where only this machine does."""
        if self.store == LOCAL:
            return None
        return self.store.partition(":")[2] or IPFS_URL

    @property
    def all_networks(self) -> dict[str, str]:
        """The named networks and where they are: the built-in ones, then the user's."""
        return {**BUILT_IN_NETWORKS, **self.networks}

    @property
    def network_url(self) -> str:
        """Where the chosen network is: ``embedded``, or a URL."""
        return self.all_networks.get(self.network, self.network)


class JobConfig(TypedModel):
    """The terms of a job: everything that its owner decides; defaults are those of the demo.

    Each field's description is what an error's hint and docs/configuration.md say about it.
    """

    model_config = _STRICT

    data: str = Field(
        default="digits", description="'digits', an .npz file, a CIFAR .bin file or folder, or an image folder"
    )
    trainers: int = Field(default=3, ge=2, le=32, description="trainers, one segment each, 2 to 32")
    rounds: int = Field(default=3, ge=1, le=1000, description="rounds of training, 1 to 1000")
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="whole number that fixes every key and secret; INSECURE"
    )
    split_seed: int = Field(default=2026, ge=0, lt=2**63, description="public seed of the division of the records")
    spec_seed: int = Field(
        default=2026, ge=0, lt=2**32, description="public seed of initial weights, batches and input noise"
    )
    head: str = Field(
        default=DISJOINT, description="disjoint, random, dp-sgd, or a .safetensors file not fitted to these records"
    )
    head_records: int = Field(
        default=500, ge=0, description="records that train a disjoint head, never released; others may have 0"
    )
    holdout_records: int = Field(default=100, ge=1, description="records that judge progress, never released")
    test_records: int = Field(default=360, ge=1, description="records that measure accuracy, never released")

    epsilon: float = Field(default=2.0, gt=0, description="privacy of one record, head and release together, above 0")
    head_epsilon: float | None = Field(
        default=None, gt=0, description="what a dp-sgd head may spend of epsilon, below it; half of it by default"
    )
    mechanism: Literal["gaussian", "privunit"] = Field(
        default="privunit",
        description="privunit: the direction of single records (group 1), with little noise; or gaussian",
    )
    delta: float = Field(default=1e-5, gt=0, lt=1, description="failure probability of that privacy, between 0 and 1")
    clip: float = Field(default=1.0, gt=0, description="largest L2 norm of one record's activation")
    group: int = Field(default=1, ge=1, description="records averaged into one released row, at least 1")
    gamma: int = Field(default=4, ge=1, description="pseudo-labels of the rarest class, at least 1")
    label_epsilon: float | None = Field(
        default=None,
        gt=0,
        le=64,
        description="privacy of one record's label, above 0; not set: unprotected",
    )
    label_loss: Literal["plain", "corrected"] = Field(
        default="plain", description="corrected: the loss takes the noise of randomised labels out again (group 1)"
    )

    model: str = Field(default="mlp", description="mlp, cnn, resnet18, vit or package.module:function")
    activation_shape: Sizes = Field(default=(), description="shape of one released activation; empty: the model's own")
    widths: Sizes = Field(default=(), description="layer widths or channels; empty: the model's own")
    optimizer: Literal["sgd", "adamw"] = Field(default="sgd", description="sgd or adamw")
    learning_rate: float = Field(default=0.01, gt=0, description="step size, above 0")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of sgd, from 0 to below 1")
    weight_decay: float = Field(default=5e-4, ge=0, description="weight decay, 0 or more")
    steps: int = Field(default=40, ge=1, description="optimizer steps of a round")
    batch: int = Field(default=64, ge=1, description="rows of a step")
    input_noise: float = Field(default=0.0, ge=0, description="public noise on scaled activations, a deviation")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="label smoothing, from 0 to below 1")

    mark_bits: int = Field(default=128, ge=64, le=1024, description="bits of one watermark, 64 to 1024")
    mark_strength: float = Field(
        default=2.0, ge=1, le=8, description="margin of a watermark in units of the weights' rms, 1 to 8"
    )
    interval: int = Field(default=10, ge=1, description="steps between two committed states")
    tolerance: float = Field(
        default=1e-5,
        gt=0,
        description="relative L2 difference that a replay on other hardware may show; adamw needs 1e-4",
    )
    publication: Literal["all", "sampled"] = Field(
        default="all", description="all or sampled: whether every interval state is published, or what the owner draws"
    )
    samples: int = Field(default=1, ge=1, description="intervals that the owner replays per seat before it pays")
    pay_wei: int = Field(default=10**15, ge=1, lt=2**88, description="pay of one seat for one round, in wei")

    @field_validator("head")
    @classmethod
    def _check_head(cls, value: str) -> str:
        if value in HEADS or value.endswith(HEAD_SUFFIX):
            return value
        raise ValueError(f"neither a kind of head nor a {HEAD_SUFFIX} file")

    @field_validator("label_smoothing")
    @classmethod
    def _check_label_smoothing(cls, value: float, info: ValidationInfo) -> float:
        if value and info.data.get("label_loss") == "corrected":
            raise ValueError("a corrected label_loss takes out the noise that label_smoothing adds; choose one")
        return value


class Settings(JobConfig, ClientConfig, BaseSettings):
    """All settings of one call, read from arguments, environment and settings file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        toml_file=SETTINGS_FILE,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
    )

    @property
    def job(self) -> JobConfig:
        """The terms alone, which a job keeps."""
        return JobConfig.model_construct(**{name: getattr(self, name) for name in JobConfig.model_fields})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        return init_settings, EnvironmentSource(settings_cls), SettingsFileSource(settings_cls)


def load_config(**arguments: object) -> Settings:
    """The configuration with every argument that is not None applied on top.

    Raises:
        UsageError: a value out of range or of the wrong type, or a setting that does not exist, named with its
            source; or a settings file that cannot be read.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    _check_environment(os.environ)
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as e:
        raise _refusal(e, given) from e
    except (OSError, ValueError) as e:
        raise UsageError(f"{SETTINGS_FILE} cannot be read: {e}", hint="fix the file or remove it") from e


@dataclass(frozen=True)
class Setting:
    """One key's value, and who set it: an option, a variable, the settings file, or ``default``."""

    name: str
    value: object
    source: str


def explain_config(**arguments: object) -> tuple[Setting, ...]:
    """Every key of ``load_config(**arguments)`` with its source; raises what that raises."""
    config = load_config(**arguments)
    given = {name: value for name, value in arguments.items() if value is not None}
    # Read once more for its keys alone: load_config has judged it.
    written = SettingsFileSource(Settings)()
    return tuple(Setting(name, getattr(config, name), _source(name, given, written)) for name in Settings.model_fields)


def _source(name: str, given: Mapping[str, object], written: Mapping[str, object]) -> str:
    if name in given:
        return f"--{name.replace('_', '-')}"
    return _variable(name) or (SETTINGS_FILE if name in written else "default")


def _variable(name: str) -> str:
    """The environment variable that sets this key, or nothing."""
    return next((key for key, text in os.environ.items() if key.upper() == PREFIX + name.upper() and text), "")


def _refusal(e: ValidationError, given: Mapping[str, object]) -> UsageError:
    """The first thing that is wrong, in the words of whoever set it."""
    first = e.errors()[0]
    name = str(first["loc"][0])
    if name not in Settings.model_fields:
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/configuration.md lists every key"
        return UsageError(f"{SETTINGS_FILE}: there is no setting {name!r}", hint=hint)
    reason = first["msg"].removeprefix("Value error, ")
    what = f"{name}: {Settings.model_fields[name].description}"
    return UsageError(f"{_origin(name, given, first['input'])}: {reason[:1].lower()}{reason[1:]}", hint=what)


def _origin(name: str, given: Mapping[str, object], value: Any) -> str:
    """The setting as its user wrote it, without what may be a secret: option, variable or line of the file."""
    shown = shown_address if name in ("network", "store") else hide_paths
    variable = _variable(name)
    if name == "networks":
        return variable or f"{SETTINGS_FILE}: {name}"
    if name in given:
        return f"--{name.replace('_', '-')} {shown(str(given[name]))}"
    if variable:
        return f"{variable}={shown(os.environ[variable])}"
    return f"{SETTINGS_FILE}: {name} = {_as_written(value, shown)}"


def _as_written(value: object, shown: Callable[[str], str]) -> str:
    return repr(shown(value)) if isinstance(value, str) else shown(repr(value))


def _check_environment(environment: Mapping[str, str]) -> None:
    """Refuses a variable that is almost a setting; others with the prefix may belong to other programs."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for variable in environment:
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            near = difflib.get_close_matches(variable.upper(), known, n=1, cutoff=0.85)
            if near:
                raise UsageError(f"{variable} is no setting", hint=f"did you mean {near[0]}?")
