"""Attributes by text prompts and no labels: each image gets the value whose description it is most like (CLIP, Radford et al. 2021)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize

from ..errors import UserInputError
from .classifier import AttributeClassifier

ENDING = ".prompts.json"
BATCH = 64
EXAMPLE = '{"model": "FOLDER or hub id", "attributes": {"hair": {"long": ["a portrait, long hair"], "short": ["a portrait, short hair"]}}}'


@dataclass(frozen=True)
class PromptClassifier(AttributeClassifier):
    """A vision-language model and what it is asked. Made with `open_prompts`."""

    model: str = ""  # folder of the user's own weights, or a hub id
    prompts: dict[str, list[list[str]]] = field(default_factory=dict)  # of each attribute and value, one or more sentences

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Softmax over an attribute's values of scale x cosine(image, text): uint8 [N,H,W,3] -> [N, K] each (Radford et al. 2021, fig. 3).

        Several sentences of a value count by the mean of their normalised embeddings (their section 3.1.4).
        Raises UserInputError where the model cannot be opened.
        """
        clip, processor = _opened(self.model)
        with torch.inference_mode():
            parts = []
            for k in range(0, len(images), BATCH):
                batch = [Image.fromarray(image) for image in images[k : k + BATCH]]
                pixels = processor(images=batch, return_tensors="pt")["pixel_values"]
                parts.append(normalize(_tensor(clip.get_image_features(pixel_values=pixels)), dim=-1))
            seen, scale = torch.cat(parts), clip.logit_scale.exp()
            found = {}
            for name in self.classes:
                texts = torch.stack([self._text(clip, processor, sentences) for sentences in self.prompts[name]])
                found[name] = (scale * seen @ texts.T).double().softmax(1).numpy()
        return found

    @staticmethod
    def _text(clip: torch.nn.Module, processor: Callable, sentences: list[str]) -> torch.Tensor:
        """One direction [F] for a value, of unit length."""
        tokens = processor(text=sentences, return_tensors="pt", padding=True, truncation=True)
        each = clip.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        return normalize(normalize(_tensor(each), dim=-1).mean(0), dim=-1)


def _tensor(found: object) -> torch.Tensor:
    """Features [N, F]: a tensor, or what transformers 5 wraps it in."""
    return found if isinstance(found, torch.Tensor) else found.pooler_output


def open_prompts(path: str | Path) -> PromptClassifier:
    """The classifier that a file NAME.prompts.json describes: {"model": ..., "attributes": {attribute: {value: sentence or sentences}}}.

    The model is a folder with the weights and processor of a CLIP of `transformers`, or a hub id. Its errors are unknown until they are
    counted (`counted_on`), and it brings the bias of its own training data. Raises UserInputError for a file that says something else, and
    where transformers is not installed.
    """
    path = Path(path)
    if find_spec("transformers") is None:
        raise UserInputError("labels", "text prompts need transformers", 'pip install "tiw-studio[prompts]"')
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        model = raw["model"]
        asked = {
            str(name): {str(value): [said] if isinstance(said, str) else list(said) for value, said in values.items()}
            for name, values in raw["attributes"].items()
        }
        sentences = [said for values in asked.values() for of_value in values.values() for said in of_value]
        if not isinstance(model, str) or not all(isinstance(said, str) and said.strip() for said in sentences):
            raise ValueError("a sentence is no text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserInputError("labels", f"{path} is missing, or is no list of prompts ({error})", f"write it: {EXAMPLE}") from error
    for name, values in asked.items():
        if len(values) < 2 or not all(values.values()):
            raise UserInputError("labels", f"{name} has {len(values)} values", "describe two or more, each by one sentence or more")
    local = path.parent / model
    place = str(local) if local.is_dir() else model
    source = f"{Path(model).name}, asked by text prompts; it brings the bias of its own training data"
    return PromptClassifier(
        {name: list(values) for name, values in asked.items()},
        {},
        source,
        str(raw.get("licence", "not stated")),
        model=place,
        prompts={name: list(values.values()) for name, values in asked.items()},
    )


@lru_cache(maxsize=1)
def _opened(model: str) -> tuple[torch.nn.Module, Callable]:
    """The model in evaluation mode, and its processor."""
    from transformers import CLIPModel, CLIPProcessor

    try:
        return CLIPModel.from_pretrained(model, use_safetensors=True).eval(), CLIPProcessor.from_pretrained(model)
    except (OSError, ValueError, ImportError, KeyError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserInputError(
            "labels", f"the model {model} of the prompts cannot be opened ({said})", "name a folder with a CLIP of transformers"
        ) from error
