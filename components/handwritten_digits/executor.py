"""Executor of HandwrittenDigits.

The pictures are the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
1998, UCI Machine Learning Repository): 1,797 digits by 13 people, 8 x 8 pixels of 0 to 16. Who wrote
which is not told, so one person's digits are in all splits.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from components.base import Inputs, Metrics, Outputs
from components.handwritten_digits.component import HandwrittenDigitsParameters


def execute(_inputs: Inputs, outputs: Outputs, parameters: HandwrittenDigitsParameters) -> Metrics:
    """Writes ``DIGIT/NNNN.png``."""
    digits = load_digits()
    written: Counter[int] = Counter()
    for number, (image, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        if parameters.most and written[int(digit)] == parameters.most:
            continue
        written[int(digit)] += 1
        folder = outputs["recordings"] / str(digit)
        folder.mkdir(exist_ok=True)
        pixels = np.rint(image * (255.0 / 16.0)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
    return {"pictures": float(written.total())}
