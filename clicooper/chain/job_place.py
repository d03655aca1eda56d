"""Where a job is on chain, and the file job.json that says so beside whatever is kept of the job; no secret."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clicooper.errors import UsageError
from clicooper.files import read_bounded
from clicooper.json_values import parse_json
from clicooper.types import Address, JobId

__all__ = ["JOB_NAME", "JobPlace", "encode_place", "read_place"]

JOB_NAME = "job.json"
FORMAT = "CliCooper/1/job"
MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class JobPlace:
    """Where a job is on chain."""

    chain_id: int
    contract: Address
    job: JobId


def encode_place(chain_id: int, contract: Address, job: JobId) -> bytes:
    """The content of job.json."""
    place = {"format": FORMAT, "chain_id": chain_id, "contract": contract, "job": job}
    return json.dumps(place, indent=2).encode() + b"\n"


def read_place(folder: Path) -> JobPlace:
    """Where the job of a run folder is, as its job.json says.

    Raises:
        UsageError: the folder does not say, or not in this program's words.
    """
    hint = "name the job with --contract ADDRESS --job N"
    data = read_bounded(
        folder / JOB_NAME, MAX_BYTES, what="place of the job", follow=False, error=UsageError, hint=hint
    )
    try:
        value: Any = parse_json(data)
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']!r}")
        return JobPlace(int(value["chain_id"]), Address(str(value["contract"])), JobId(int(value["job"])))
    except (KeyError, TypeError, ValueError) as e:
        raise UsageError(f"{folder / JOB_NAME} is damaged", hint=hint) from e
