"""The class of every image, for a class-conditional model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ..errors import UserInputError
from .image_set import ImageSet
from .labels import WHOLE, in_order, listed


def with_classes(column: str, classes: int, **sets: ImageSet) -> list[ImageSet]:
    """The sets, by name, with the class of each image: numbers from 0, or as many values as there are classes, in their order.

    Numbers are in order by value (1 to 12 become 0 to 11), names by the alphabet. Raises UserInputError where a set lacks the column, an
    image has no class, or the values are neither.
    """
    for name, images in sets.items():
        if images.attributes is None or column not in images.attributes:
            there = "no labels" if images.attributes is None else f"the labels {listed(list(images.attributes), 10)}"
            fix = f"the model paints {classes} classes: name the column with the class of each image ({' and '.join(sets)} need it)"
            raise UserInputError("class_label", f"the {name} set has {there}, not {column!r}", fix)
        without = np.flatnonzero(images.attributes[column].isna())
        if without.size:
            found = f"{len(without):,} image(s) of the {name} set have no {column}, for instance {images.sources[without[0]]}"
            raise UserInputError("class_label", found, "give each of them a class, or remove them")
    values = pd.concat([images.attributes[column] for images in sets.values()])
    names = in_order(values)
    if all(map(WHOLE.fullmatch, names)) and all(0 <= int(name) < classes for name in names):
        places = {name: int(name) for name in names}
    elif len(names) == classes:
        places = {name: place for place, name in enumerate(names)}
    else:
        found = f"{column!r} has {len(names)} values ({listed(names)}), the model {classes} classes"
        raise UserInputError("class_label", found, "label the images with the numbers or the names of its classes")
    labels = values.map(places).to_numpy(np.int64, copy=True)
    ends = np.cumsum([len(images) for images in sets.values()])[:-1]
    return [replace(images, labels=own) for images, own in zip(sets.values(), np.split(labels, ends), strict=True)]
