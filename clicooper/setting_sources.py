"""Where settings are written, and the rule that a value is of the kind that its user wrote.

Which settings there are, and which source wins, is decided by ``config``.
"""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ValidationInfo, field_validator
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from clicooper.user_text import parse_toml

__all__ = ["MAX_SETTINGS_BYTES", "EnvironmentSource", "SettingsFileSource", "TypedModel"]

MAX_SETTINGS_BYTES = 1 << 20
_EXACT = 2**53
"""Whole numbers below it are exact as floating-point numbers."""


class _EnvironmentText(str):
    """A value from the environment, which holds nothing but text: numbers and lists are written in it."""


class TypedModel(BaseModel):
    """A model that takes no value for another than what was written: ``true`` is no number, and neither is ``"5"``."""

    @field_validator("*", mode="before")
    @classmethod
    def _check_kind(cls, value: object, info: ValidationInfo) -> object:
        return _check_value(value, cls.model_fields[str(info.field_name)].annotation)


class EnvironmentSource(EnvSettingsSource):
    """The variables, whose values cannot but be text."""

    def __call__(self) -> dict[str, Any]:
        """The values by key."""
        return {name: _EnvironmentText(value) for name, value in super().__call__().items()}


class SettingsFileSource(TomlConfigSettingsSource):
    """A TOML file: a regular one of bounded size, in any encoding that is marked."""

    def _read_files(self, files: Any, deep_merge: bool = False) -> dict[str, Any]:
        if Path(files).exists() and not Path(files).is_file():
            raise ValueError("it is no regular file")
        return super()._read_files(files, deep_merge)

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        with file_path.open("rb") as file:
            data = file.read(MAX_SETTINGS_BYTES + 1)
        if len(data) > MAX_SETTINGS_BYTES:
            raise ValueError(f"it is larger than {MAX_SETTINGS_BYTES} bytes")
        return parse_toml(data)


def _check_value(value: object, wanted: object) -> object:
    """The value, if pydantic would not turn it into something that its user did not write.

    Args:
        value: as a file, an argument or the environment has it.
        wanted: the annotation of its field. Numbers, lists of them and tables are looked at, all else is left to
            pydantic.

    Raises:
        ValueError: true or false, or text, where a number is wanted; text where a list or a table is; a number with a
            fraction, or too large to be exact, where a whole number is.
    """
    if isinstance(value, _EnvironmentText):
        return str(value)
    kinds = _kinds(wanted)
    if kinds & {int, float}:
        _check_number(value, whole=float not in kinds)
    elif tuple in kinds and isinstance(value, (list, tuple)):
        for item in value:
            _check_number(item, whole=True)
    elif kinds & {tuple, dict, frozenset} and isinstance(value, str):
        raise ValueError("a list or a table is wanted, not text")
    return value


def _check_number(value: object, *, whole: bool) -> None:
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")
    if isinstance(value, str):
        raise ValueError("a number is wanted, not text: write it without quotes")
    if whole and isinstance(value, float) and not (value.is_integer() and abs(value) < _EXACT):
        raise ValueError("a whole number is wanted: write it without a point or an exponent")


def _kinds(wanted: Any) -> frozenset[Any]:
    """The plain types behind an annotation; of a collection the collection's."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return frozenset().union(*(_kinds(one) for one in typing.get_args(wanted)))
    if origin is Annotated:
        return _kinds(typing.get_args(wanted)[0])
    return frozenset([origin or wanted])
