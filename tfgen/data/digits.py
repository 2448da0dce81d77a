"""The handwritten digits that scikit-learn ships."""

import numpy as np

from tfgen.data.source import ArraySource
from tfgen.data.transform import Stored, Target
from tfgen.specs import Labels

TRAIN = 1437  # four fifths of 1797


def open_digits(target: Target) -> ArraySource:
    """Returns 1797 real digits, 8x8 grey pictures of 17 levels, with their classes; 1437 to train, 360 to test.

    The split is stratified and always the same.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    image, label = digits.images.astype(np.uint8)[..., None], digits.target.astype(np.int32)
    rows = train_test_split(np.arange(len(label)), train_size=TRAIN, stratify=label, random_state=0)
    spec, transform, binarizer = target.plan(Stored(8, 8, 1, 17), "digits")
    arrays = {
        split: {"image": transform.batched(image[part]), "label": label[part]}
        for split, part in zip(("train", "test"), rows, strict=True)
    }
    return ArraySource("digits", {"image": spec, "label": Labels(10, tuple("0123456789"))}, arrays, binarizer)
