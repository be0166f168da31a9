"""What an audit has done so far, where its time comes in slices: each stage leaves its file, and the next slice goes on after it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress

import torch
from safetensors.torch import load_file, save_file

from ..files import Unreadable, read_json, write_atomic
from ..ratio.features import RatioFeatures
from . import folder, names
from .folder import RunFolder, Stopped


class Stages:
    """The stages of a run, by name. Where time is not sliced nothing is kept, and all are done."""

    def __init__(self, run: RunFolder):
        self._run, self._sliced = run, math.isfinite(folder.SLICE_ENDS)
        self._done: list[str] = []
        with suppress(FileNotFoundError, Unreadable):
            self._done = read_json(run.path / names.STAGES)["done"] if self._sliced else []

    def wants(self, name: str) -> bool:
        """Whether this stage has to be done. Raises Stopped where a stop was asked for or the slice is over."""
        if self._run.stop_requested():
            raise Stopped
        return name not in self._done

    def did(self, name: str) -> None:
        """This stage's files are there."""
        self._done.append(name)
        if self._sliced:
            write_atomic(self._run.path / names.STAGES, json.dumps({"done": self._done}).encode())

    def tried(self, name: str) -> None:
        """A stage that the end of the slice has cut short: it gets one more, a whole one, and what it has then is what there is."""
        cut = self._run.stop_requested() and f"{name} tried" not in self._done
        self.did(f"{name} tried" if cut else name)

    def features(self, encode: Callable[[], RatioFeatures]) -> RatioFeatures:
        """Those of an earlier slice, else `encode()`."""
        path = self._run.path / names.FEATURES
        if self.wants("features"):
            found = encode()
            if self._sliced:
                weight = {} if found.class_weight is None else {"class_weight": torch.from_numpy(found.class_weight)}
                whole = {"scored": torch.from_numpy(found.scored), "n_biased": torch.tensor(found.n_biased), **weight}
                save_file({"biased": found.biased.contiguous(), "reference": found.reference.contiguous(), **whole}, path)
                self.did("features")
            return found
        kept = load_file(path)
        weight = kept["class_weight"].numpy() if "class_weight" in kept else None
        return RatioFeatures(kept["scored"].numpy(), kept["biased"], kept["reference"], int(kept["n_biased"]), weight)

    def attempts(self, name: str) -> bool:
        """Whether a stage that the result can do without has another attempt: it has two."""
        if self._run.stop_requested():
            raise Stopped
        self.did(f"{name} begun")
        return self._done.count(f"{name} begun") <= 2

    def forget(self) -> None:
        """At the end: the features are large."""
        (self._run.path / names.FEATURES).unlink(missing_ok=True)
