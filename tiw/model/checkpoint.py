"""A model's folder, looked through before anything of it is built or run: what is damaged, hostile or of another kind is one sentence."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import UserInputError
from ..files import Unreadable, read_json
from .networks import UNet2DModel

INDEX_FILE, SCHEDULER_FILE = "model_index.json", "scheduler/scheduler_config.json"  # of a diffusers pipeline
WEIGHTS = "diffusion_pytorch_model"  # how diffusers begins the names of weights
PREDICTIONS = ("epsilon", "v_prediction", "sample")
BLOCKS = ("DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D", "SkipDownBlock2D", "AttnSkipDownBlock2D")
BLOCKS += tuple(name.replace("Down", "Up") for name in BLOCKS)
MOST = {"layers_per_block": 16, "num_train_timesteps": 100_000, "sample_size": 4096, "num_class_embeds": 1_000_000}  # else a hoax
AGAIN = "copy or download it again"
MOST_CHANNELS, MOST_BLOCKS, MOST_NUMBER = 8192, 8, 1e5
RENAMED = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}  # diffusers before 0.15
SCHEDULE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")


def refused(path: Path, found: str, fix: str = "") -> UserInputError:
    """The error for a model that cannot be used."""
    fix = fix or "give a pixel-space UNet2DModel of RGB images with a DDPM, DDIM or EDM scheduler"
    return UserInputError("baseline", f"{path} {found}", fix)


def read_part(path: Path) -> dict:
    """One of a model's JSON files. Raises UserInputError where it is missing or damaged."""
    try:
        return read_json(path)
    except FileNotFoundError:
        raise refused(path.parent, f"has no {path.name}", "copy or download the model's folder again, with all of its files") from None
    except Unreadable as error:
        raise refused(path.parent, f"is damaged: {error}", "copy or download it again") from error


def load_unet(folder: Path) -> UNet2DModel:
    """The U-Net in a folder, float32, from whole safetensors whose shapes are those of its config.json and whose numbers are all finite.

    A config that asks for another size costs no memory. Raises UserInputError for everything else.
    """
    config = read_part(folder / "config.json")
    if config.get("_class_name") != "UNet2DModel":
        raise refused(folder, f"holds a {str(config.get('_class_name'))[:60]}")
    _check_config(folder, config)
    variant, files = _weights(folder)
    shapes = {name: shape for file in files for name, shape in _shapes(file).items()}
    wanted = _wanted(folder, config)
    if missing := sorted(set(wanted) - set(shapes)):
        raise refused(folder, f"is not whole: {len(missing)} of its {len(wanted)} weights are missing, {missing[0]} among them", AGAIN)
    if other := next((name for name, shape in wanted.items() if shapes[name] != shape), None):
        found = f"contradicts itself: {other} is {shapes[other]}, its config.json says {wanted[other]}"
        raise refused(folder, found, "give the config.json that belongs to the weights")
    try:
        unet = UNet2DModel.from_pretrained(folder, use_safetensors=True, variant=variant)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise refused(folder, f"cannot be read ({(str(error).splitlines() or [''])[0][:150]})", AGAIN) from error
    if bad := next((name for name, weight in unet.state_dict().items() if not bool(weight.isfinite().all())), None):
        raise refused(folder, f"holds weights that are not finite (NaN or infinite), in {bad}", "give a checkpoint from before it diverged")
    return unet


def _check_config(folder: Path, config: dict) -> None:
    """Bounds that every real network keeps, so that none is built which is made to exhaust the machine."""
    channels, types = config.get("block_out_channels"), [*_list(config, "down_block_types"), *_list(config, "up_block_types")]
    numbers = [(name, n) for name, value in config.items() for n in (value if isinstance(value, list) else [value]) if _number(n)]
    limits = {"block_out_channels": MOST_CHANNELS, **MOST}
    if other := [name for name in types if name not in BLOCKS]:
        raise refused(folder, f"has blocks of type {str(other[0])[:60]}")
    if not isinstance(channels, list) or not 1 <= len(channels) <= MOST_BLOCKS or not all(isinstance(c, int) and c > 0 for c in channels):
        raise refused(folder, "has no sound block_out_channels in its config.json", AGAIN)
    for name, n in numbers:
        if not math.isfinite(n) or not 0 <= n <= limits.get(name, MOST_NUMBER):
            raise refused(folder, f"has {name} {n} in its config.json, which no usable model has", "give another model")
    if config.get("mid_block_type", "UNetMidBlock2D") != "UNetMidBlock2D":
        raise refused(folder, f"has a middle block of type {str(config['mid_block_type'])[:60]}")


def _list(config: dict, name: str) -> list:
    return value if isinstance(value := config.get(name), list) else []


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _weights(folder: Path) -> tuple[str | None, list[Path]]:
    """diffusers' variant (None: plain) and the files of the weights."""
    if not any(folder.glob("*.safetensors")):
        found = ", ".join(sorted(p.name for p in folder.glob("*"))) or "nothing"
        raise refused(folder, f"holds {found}, no .safetensors file", "save the weights as safetensors; pickles are never read")
    names = {"": f"{WEIGHTS}.safetensors"}
    for file in folder.glob(f"{WEIGHTS}.*.safetensors"):
        names.setdefault(file.name.split(".")[1], file.name)
    variants = [variant for variant, name in names.items() if (folder / name).is_file()]
    if (index := folder / f"{WEIGHTS}.safetensors.index.json").is_file() and "" not in variants:
        parts = read_part(index).get("weight_map")
        if not isinstance(parts, dict) or not all(isinstance(name, str) and Path(name).name == name for name in parts.values()):
            raise refused(folder, f"has a damaged {index.name}", AGAIN)
        files = [folder / name for name in sorted(set(parts.values()))]
        if gone := [file.name for file in files if not file.is_file()]:
            raise refused(folder, f"is not whole: {gone[0]} is missing", AGAIN)
        return None, files
    if "" in variants:
        return None, [folder / names[""]]
    if len(variants) != 1:
        found = f"holds {', '.join(sorted(file.name for file in folder.glob('*.safetensors')))}, no {WEIGHTS}.safetensors"
        raise refused(folder, found, "give the weights that are meant this name")
    return variants[0], [folder / names[variants[0]]]


def _shapes(file: Path) -> dict[str, list[int]]:
    """Names and shapes in a safetensors file, from its head alone."""
    with file.open("rb") as raw:
        start = raw.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise refused(file, "is a Git LFS pointer, not the weights themselves", "run `git lfs pull` in the model's folder")
    try:
        with safe_open(file, "pt") as weights:
            found = {name: list(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118  (no mapping)
    except (SafetensorError, OSError) as error:
        raise refused(file, f"is {'empty' if not start else 'damaged or cut off'} ({str(error)[:100]})", AGAIN) from error
    for old, new in RENAMED.items():
        found = {name.replace(old, new): shape for name, shape in found.items()}
    return found


def _wanted(folder: Path, config: dict) -> dict[str, list[int]]:
    """Names and shapes of the weights that the config asks for; nothing is allocated."""
    try:
        with torch.device("meta"):
            unet = UNet2DModel.from_config(config)
    except Exception as error:  # diffusers has one for each way in which options may not fit together
        found = f"has a config.json that describes no network ({(str(error).splitlines() or [''])[0][:150]})"
        raise refused(folder, found, AGAIN) from error
    return {name: list(weight.shape) for name, weight in unet.state_dict().items()}


def pipeline_index(path: Path) -> None:
    """Check that a pipeline's model_index.json names a U-Net and a scheduler of diffusers, and nothing else."""
    for name, part in read_part(path / INDEX_FILE).items():
        if isinstance(part, list) and name not in ("unet", "scheduler"):
            raise refused(path, f"holds {name[:60]} beside the U-Net")
        if isinstance(part, list) and (len(part) != 2 or part[0] != "diffusers" or not isinstance(part[1], str)):
            raise refused(path, f"has a {name} of {str(part)[:80]}, not one of diffusers'")


def alphas_cumprod(path: Path, raw: dict) -> tuple[str, Tensor]:
    """What a VP scheduler's config says: the kind of prediction, and alpha_bar of each step [T] down to the last above 0.

    Raises UserInputError for a scheduler of another kind, or a schedule that is none.
    """
    from diffusers import DDPMScheduler

    kind = str(raw.get("_class_name", ""))[:60]
    if "beta_schedule" not in raw or raw.get("use_flow_sigmas"):
        raise refused(path, f"has the scheduler {kind}" + (" with flow sigmas" if raw.get("use_flow_sigmas") else ""))
    prediction = raw.get("prediction_type", "sample" if raw.get("predict_epsilon") is False else "epsilon")  # the second: before 2023
    if prediction not in PREDICTIONS:
        raise refused(path, f"predicts {str(prediction)[:60]!r}", f"give a model that predicts {', '.join(PREDICTIONS)}")
    steps, betas = raw.get("num_train_timesteps", 1000), raw.get("trained_betas")
    if not isinstance(steps, int) or not 1 < steps <= MOST["num_train_timesteps"] or len(betas or []) > MOST["num_train_timesteps"]:
        raise refused(path, f"has num_train_timesteps {str(steps)[:20]} in its scheduler's config", AGAIN)
    try:
        found = DDPMScheduler(**{name: raw[name] for name in SCHEDULE if name in raw}).alphas_cumprod
    except Exception as error:
        raise refused(path, f"has a scheduler that cannot be made ({(str(error).splitlines() or [''])[0][:100]})", AGAIN) from error
    found = found[found > 0] if bool(found.isfinite().all()) else found  # a last step of pure noise has no sigma
    if len(found) < 2 or not bool((found.diff() < 0).all()) or not float(found[0]) < 1:
        raise refused(path, "has a noise schedule that does not rise", "give the scheduler that it was trained with")
    return prediction, found


def finite(path: Path, raw: dict, **kept: tuple[float, float]) -> None:
    """Check that the named numbers of a JSON file lie between their ends. Raises UserInputError."""
    for name, (low, high) in kept.items():
        value = raw.get(name, low)
        if not _number(value) or not low <= value <= high:
            raise refused(path, f"has {name} {str(value)[:40]}", f"give a number from {low:g} to {high:g}")
