"""Measures what each kind of head is worth on digits, for docs/figures/privacy.md.

    python scripts/heads.py [--write]

Every kind gets the same epsilon in total, gamma, group and training; a head that needs no records of its own releases
those as well. The public head is trained on digits that are drawn with the fonts of matplotlib, and has seen no
handwriting.
"""

import sys
import tempfile
from pathlib import Path
from statistics import fmean

import matplotlib.font_manager
import numpy as np
from paper import write_section
from PIL import Image, ImageDraw, ImageFont

from clicooper.attacks.evaluation_inputs import fix_seed, load_inputs
from clicooper.attacks.privacy.scores import average_over_seeds
from clicooper.attacks.release_under_test import make_release_under_test
from clicooper.attacks.trained import measure_trained, train_on_release
from clicooper.config import JobConfig
from clicooper.learning.bottom_model import HeadSpec, train_head
from clicooper.learning.checkpoint import save_state
from clicooper.protocol.evaluation import Accuracies

SEEDS = 3
EPSILONS = (2.0, 4.0, 8.0)
WITH_OWN, WITHOUT = 500, 0
"""Records that train a disjoint head."""

DRAWN = 4000


def drawn_digits(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Digits in the fonts at hand, shifted, turned and blurred to 8 x 8 pixels in [0, 1]."""
    rng = np.random.default_rng(seed)
    names = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral", "cmr10", "cmss10")
    files = sorted(p for p in matplotlib.font_manager.findSystemFonts(_fonts()) if Path(p).stem.startswith(names))
    labels = rng.integers(0, 10, count)
    images = []
    for label in labels:
        font = ImageFont.truetype(files[rng.integers(len(files))], int(rng.integers(44, 62)))
        image = Image.new("L", (64, 64))
        place = tuple(32 + rng.normal(0, 2.5, 2))
        ImageDraw.Draw(image).text(place, str(label), fill=255, font=font, anchor="mm")
        turned = image.rotate(float(rng.normal(0, 8)), resample=Image.Resampling.BILINEAR)
        images.append(np.asarray(turned.resize((8, 8), Image.Resampling.BOX), dtype=np.float32) / 255)
    pixels = np.clip(np.stack(images)[:, None] * rng.uniform(1.0, 1.8, (count, 1, 1, 1)), 0, 1)
    return pixels.astype(np.float32), labels


def _fonts() -> str:
    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")


def public_head(folder: Path) -> str:
    """The file of a head that was trained on drawn digits."""
    file = folder / "drawn.safetensors"
    save_state(train_head(*drawn_digits(DRAWN), 10, HeadSpec(epochs=30)).state(), file)
    return str(file)


def accuracies(head: str, epsilon: float, seed: int, records: int) -> tuple[int, Accuracies]:
    """Released records and accuracies of one owner."""
    config = fix_seed(JobConfig(epsilon=epsilon, head=head, head_records=records), seed)
    tested = make_release_under_test(load_inputs(config), config)
    return len(tested.splits.release), measure_trained(tested, train_on_release(tested))


def row(words: str, head: str, epsilon: float, records: int) -> str:
    """One line of the table: means over seeds with their standard errors."""
    found = [accuracies(head, epsilon, seed, records) for seed in range(SEEDS)]
    figures = []
    for name in ("protected", "release_only", "head_only", "unprotected"):
        mean, deviation = average_over_seeds([getattr(each, name) for _, each in found])
        figures.append(f"{mean:.3f}±{deviation / SEEDS**0.5:.3f}")
    print(f"{words}, epsilon {epsilon:g}", file=sys.stderr, flush=True)
    return f"| {words} | {epsilon:g} | {fmean(released for released, _ in found):.0f} | {' | '.join(figures)} |"


def main() -> None:
    """Measures, prints, and writes where it was asked for."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = public_head(Path(folder))
        kinds = (
            ("disjoint", "disjoint", WITH_OWN),
            ("file: drawn digits", drawn, WITHOUT),
            ("dp-sgd, half of ε", "dp-sgd", WITHOUT),
            ("random", "random", WITHOUT),
        )
        lines = ["| head | ε | n | trained | release only | head only | unprotected |", "|---|---|---|---|---|---|---|"]
        lines += [row(*kind[:2], epsilon, kind[2]) for epsilon in EPSILONS for kind in kinds]
    text = "\n".join(lines)
    print(text)
    if "--write" in sys.argv:
        write_section("heads", text)


if __name__ == "__main__":
    main()
