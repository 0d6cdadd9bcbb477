"""1,797 handwritten digits of 8 x 8 pixels in 17 shades, as scikit-learn carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE: Final = 8
PIXELS: Final = SIDE * SIDE
SHADES: Final = 16  # the darkest; 0 is paper
LABELS: Final = 10
NAME: Final = "digits"


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures as rows of `PIXELS` numbers from 0 to 1, and which digit each is."""

    pictures: NDArray[np.float32]
    digits: NDArray[np.int64]
    held_out: NDArray[np.float32]  # never trained on
    held_out_digits: NDArray[np.int64]


def split(validation: float, seed: int) -> Split:
    """Every digit has its share on both sides; the same seed splits alike."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits: Any = load_digits()
    pictures = (digits.data / SHADES).astype(np.float32)
    ours, held_out, our_digits, held_out_digits = train_test_split(
        pictures, digits.target, test_size=validation, random_state=seed, stratify=digits.target
    )
    return Split(ours, our_digits, held_out, held_out_digits)


def described(data: Split) -> str:
    return (
        f"{NAME} (scikit-learn): {len(data.digits)} pictures to learn from,"
        f" {len(data.held_out_digits)} held out"
    )
