"""``clicooper head``: a public head, as a file that any owner can name in ``head``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from clicooper.cli import session
from clicooper.cli.output import finish
from clicooper.config import HEAD_SUFFIX
from clicooper.errors import UsageError
from clicooper.learning.bottom_model import train_head
from clicooper.learning.checkpoint import save_state, state_digest
from clicooper.learning.data import load_dataset
from clicooper.protocol.preparation.defaults import choose_shape, make_head_spec

__all__ = ["app"]

WARNING = (
    "Release none of these records under this head: nothing can check that, and the statement of a release says that "
    "its owner vouches for it."
)

app = typer.Typer(help="Make a public head.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Make a public head."""


@app.command("export")
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The .safetensors file to write.")],
    data: Annotated[
        str,
        typer.Option("--data", help="Public labelled records: an .npz file, CIFAR binary files, or an image folder."),
    ],
) -> int:
    """Trains a head on all records of a public data set and writes it to a file.

    It fits the configured model: records of the same shape as those of --data, activations of the model's shape. An
    owner names the file in the setting `head`.
    """
    config = session.settings(context)
    if file.suffix != HEAD_SUFFIX:
        raise UsageError(f"{file} is no {HEAD_SUFFIX} file", hint=f"name it {file.stem}{HEAD_SUFFIX}")
    dataset = load_dataset(data)
    dims = math.prod(choose_shape(config))
    head = train_head(dataset.inputs, dataset.labels, dataset.classes, make_head_spec(dims, config.spec_seed))
    try:
        save_state(head.state(), file)
    except OSError as e:
        raise UsageError(f"cannot write {file}: {e.strerror}", hint="choose a folder that exists") from e
    result = {
        "file": str(file),
        "records": len(dataset),
        "record_shape": list(dataset.shape),
        "features": dims,
        "digest": "0x" + state_digest(head.state()).hex(),
        "warning": WARNING,
    }
    shape = " x ".join(str(size) for size in dataset.shape)
    words = f"{file}: records of {shape} to {dims} features, from {len(dataset)} of them"
    return finish(context, result, (words, str(result["digest"]), WARNING))
