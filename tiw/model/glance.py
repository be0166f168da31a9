"""What a model's folder says of itself, read in no time: its weights stay where they are, and torch is not loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserInputError

CONFIGS = ("denoiser.json", "model_index.json")  # ours, diffusers'


@dataclass(frozen=True)
class Glance:
    """What images have to be, so that the model can be used on them."""

    side: int  # pixels
    classes: int  # of a class-conditional model; 0: it has none


def glance(path: str | Path) -> Glance | None:
    """Size and classes of the model in a folder; None where the folder does not say, or is not on this computer (a hub's model).

    Raises UserInputError for a path that holds no model. What this accepts `Denoiser.from_pretrained` may still refuse.
    """
    folder = Path(path)
    if not folder.exists() and len(folder.parts) == 2 and not folder.is_absolute():
        return None
    if not any((folder / name).is_file() for name in CONFIGS):
        found = f"{path} holds neither {' nor '.join(CONFIGS)}" if folder.exists() else f"there is no folder {path}"
        raise UserInputError("baseline", found, "give the folder of a model saved by TIW Studio or diffusers")
    try:
        own = json.loads((folder / CONFIGS[0]).read_text()) if (folder / CONFIGS[0]).is_file() else {}
        unet = folder / "unet" if (folder / "unet").is_dir() else folder
        network = json.loads((unet / "config.json").read_text())
        side, classes = network["sample_size"], network.get("num_class_embeds") or 0
        return Glance(own.get("fold", 1) * (side if isinstance(side, int) else side[0]), classes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
