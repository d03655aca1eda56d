"""One configuration record for a job, and where its values come from.

Precedence: explicit argument, then ``CLICOOPER_*`` in the environment, then ``clicooper.toml`` in the working
directory, then the default. Nothing here reads data, keys or the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from clicooper.errors import UsageError

__all__ = ["JobConfig", "load_config"]

SETTINGS_FILE = "clicooper.toml"


class JobConfig(BaseSettings):
    """Everything that the owner of a job decides; defaults are those of the demo on digits.

    Attributes:
        home: where run folders go.
        network: ``embedded`` or the URL of an EVM node.
        data: ``digits``, an ``.npz`` file, a CIFAR binary file or folder, or an image folder.
        model: ``mlp``, ``cnn``, ``resnet18`` or ``package.module:function``.
        seed: fixes every key and secret of a rehearsal, which is then INSECURE; None draws them from the OS.
        head_records, holdout_records, test_records: records kept from the release, in this order of use.
        activation_shape: shape of one released activation; empty takes the model's default.
        gamma: pseudo-labels per class of the rarest class.
        samples: intervals that the owner replays per seat and round before it pays.
    """

    model_config = SettingsConfigDict(
        env_prefix="CLICOOPER_", toml_file=SETTINGS_FILE, extra="ignore", frozen=True, allow_inf_nan=False
    )

    home: Path = Path(".clicooper")
    network: str = "embedded"

    data: str = "digits"
    trainers: int = Field(default=3, ge=2, le=32)
    rounds: int = Field(default=3, ge=1, le=1000)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    split_seed: int = Field(default=2026, ge=0, lt=2**63)
    spec_seed: int = Field(default=2026, ge=0, lt=2**32)
    head_records: int = Field(default=500, ge=1)
    holdout_records: int = Field(default=100, ge=1)
    test_records: int = Field(default=360, ge=1)

    epsilon: float = Field(default=4.0, gt=0)
    delta: float = Field(default=1e-5, gt=0, lt=1)
    clip: float = Field(default=1.0, gt=0)
    group: int = Field(default=4, ge=1)
    gamma: int = Field(default=4, ge=1)

    model: str = "mlp"
    activation_shape: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.01, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    steps: int = Field(default=40, ge=1)
    batch: int = Field(default=64, ge=1)
    input_noise: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)

    mark_bits: int = Field(default=128, ge=64, le=4096)
    mark_strength: float = Field(default=2.0, gt=0)
    interval: int = Field(default=10, ge=1)
    tolerance: float = Field(default=1e-5, gt=0)
    samples: int = Field(default=1, ge=1)
    pay_wei: int = Field(default=10**15, ge=1, lt=2**88)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_config(**arguments: object) -> JobConfig:
    """The configuration with every argument that is not None applied on top.

    Raises:
        UsageError: a value out of range or of the wrong type, named with its source value.
    """
    try:
        return JobConfig(**{name: value for name, value in arguments.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as e:
        first = e.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{name} = {first['input']!r}: {first['msg']}",
            hint=f"check the option, CLICOOPER_{name.upper()} and {SETTINGS_FILE}",
        ) from e
    except ValueError as e:
        raise UsageError(f"{SETTINGS_FILE} cannot be read: {e}", hint="fix or remove the file") from e
