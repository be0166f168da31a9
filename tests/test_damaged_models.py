"""Model folders as they arrive: cut, damaged, hostile, old. Opened where they can be, refused in one sentence when opened where not."""

import json
import shutil

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from safetensors.torch import load_file, save_file
from test_checkpoints import tiny_unet

from tiw.errors import UserInputError
from tiw.model import checkpoint
from tiw.model.denoiser import Denoiser

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    DDPMPipeline(tiny_unet(), DDPMScheduler()).save_pretrained(folder)
    return folder


@pytest.fixture
def model(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "model")
    return tmp_path / "model"


def edit(file, **changes):
    raw = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({name: value for name, value in raw.items() if value != "REMOVE"}))


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def write(name, data):
    return lambda model: (model / name).write_bytes(data)


def remove(name):
    return lambda model: shutil.rmtree(model / name) if (model / name).is_dir() else (model / name).unlink()


def cut(model):
    (model / WEIGHTS).write_bytes((model / WEIGHTS).read_bytes()[:5000])


def cut_late(model):
    (model / WEIGHTS).write_bytes((model / WEIGHTS).read_bytes()[:-100])


def weights(change):
    def damage(model):
        found = load_file(model / WEIGHTS)
        change(found)
        save_file(found, model / WEIGHTS)

    return damage


def of_unet(**changes):
    return lambda model: edit(model / "unet" / "config.json", **changes)


def parts_elsewhere(model):
    """Weights in parts, whose index names files outside of the model."""
    (model / WEIGHTS).rename(model / "unet" / "diffusion_pytorch_model-00001-of-00001.safetensors")
    index = {"weight_map": {"conv_in.weight": "../../../evil.safetensors"}}
    (model / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))


def of_scheduler(**changes):
    return lambda model: edit(model / "scheduler" / "scheduler_config.json", **changes)


DAMAGE = {
    "LFS pointer": (
        write(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 143\n"),
        "Git LFS pointer.*git lfs pull",
    ),
    "cut": (cut, "damaged or cut off"),
    "cut at its end": (cut_late, "damaged or cut off"),
    "empty": (write(WEIGHTS, b""), "is empty"),
    "no weights": (remove(WEIGHTS), "no .safetensors file"),
    "a weight is missing": (weights(lambda w: w.pop("conv_in.weight")), r"1 of its \d+ weights are missing, conv_in.weight"),
    "NaN": (weights(lambda w: w["conv_in.weight"].view(-1)[7:8].fill_(float("nan"))), "not finite .*conv_in.weight"),
    "infinite": (weights(lambda w: w["conv_out.bias"].fill_(float("inf"))), "not finite"),
    "wrong shape": (of_unet(in_channels=4), r"contradicts itself: conv_in.weight is \[16, 3, 3, 3\], its config.json says \[16, 4, 3, 3\]"),
    "no scheduler": (remove("scheduler"), "no scheduler/scheduler_config.json"),
    "no config": (remove("unet/config.json"), "has no config.json"),
    "broken config": (write("unet/config.json", b"[" * 100_000), "is damaged: config.json"),
    "broken index": (write("model_index.json", b"{"), "is damaged: model_index.json"),
    "broken scheduler": (write("scheduler/scheduler_config.json", b"null"), "is damaged: scheduler_config.json"),
    "17 GB": (of_unet(block_out_channels=[32768, 32768]), "block_out_channels 32768"),
    "4 GB": (of_unet(block_out_channels=[8192, 8192]), "contradicts itself"),
    "a million layers": (of_unet(layers_per_block=10**6), "layers_per_block 1000000"),
    "many classes": (of_unet(num_class_embeds=10**6), "weights are missing"),
    "other blocks": (of_unet(down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"]), "blocks of type CrossAttnDownBlock2D"),
    "other middle": (of_unet(mid_block_type="UNetMidBlock2DCrossAttn"), "middle block of type UNetMidBlock2DCrossAttn"),
    "parts elsewhere": (parts_elsewhere, "damaged diffusion_pytorch_model.safetensors.index.json"),
    "no blocks": (of_unet(block_out_channels=[]), "no sound block_out_channels"),
    "that do not fit": (of_unet(down_block_types=["DownBlock2D"]), "describes no network"),
    "negative": (of_unet(norm_num_groups=-8), "norm_num_groups -8"),
    "not a number": (of_unet(norm_eps=float("inf")), "norm_eps inf"),
    "flow": (of_scheduler(prediction_type="flow_prediction"), "predicts 'flow_prediction'"),
    "flow sigmas": (of_scheduler(use_flow_sigmas=True), "flow sigmas"),
    "endless schedule": (of_scheduler(num_train_timesteps=10**9), "num_train_timesteps 1000000000"),
    "endless betas": (of_scheduler(trained_betas=[1e-5] * 100_001), "num_train_timesteps 1000 in its scheduler"),
    "flat schedule": (of_scheduler(beta_start=0.0, beta_end=0.0), "does not rise"),
    "no schedule": (of_scheduler(beta_schedule="magic"), "cannot be made"),
    "foreign code": (
        lambda m: edit(m / "model_index.json", scheduler=["evil", "Scheduler"]),
        "scheduler of .*evil.* not one of diffusers'",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_cannot_be_used_is_refused_in_one_sentence_when_opened(name, model, monkeypatch):
    damage, sentence = DAMAGE[name]
    damage(model)
    if "GB" in name:
        monkeypatch.setattr(checkpoint.UNet2DModel, "from_pretrained", lambda *_, **__: pytest.fail("memory was taken"))
    with pytest.raises(UserInputError, match=sentence) as raised:
        Denoiser.from_pretrained(model)
    assert raised.value.field == "baseline" and "\n" not in str(raised.value)


def test_a_pickle_beside_the_weights_is_never_an_answer(model, monkeypatch):
    """diffusers takes the pickle where it thinks that the other file cannot be had, unless it is told never to."""
    asked, real = [], checkpoint.UNet2DModel.from_pretrained
    monkeypatch.setattr(checkpoint.UNet2DModel, "from_pretrained", lambda *given, **how: asked.append(how) or real(*given, **how))
    (model / WEIGHTS.replace("safetensors", "bin")).write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    Denoiser.from_pretrained(model)
    assert [how["use_safetensors"] for how in asked] == [True]


def test_a_variant_alone_is_opened_and_one_of_two_is_not_guessed(model):
    expected = Denoiser.from_pretrained(model)
    for name in ("fp16", "ema"):
        shutil.copy(model / WEIGHTS, model / "unet" / f"diffusion_pytorch_model.{name}.safetensors")
    assert same(Denoiser.from_pretrained(model), expected)  # the plain one, where it is
    (model / WEIGHTS).unlink()
    with pytest.raises(UserInputError, match=r"diffusion_pytorch_model\.ema\.safetensors, diffusion_pytorch_model\.fp16"):
        Denoiser.from_pretrained(model)
    (model / "unet" / "diffusion_pytorch_model.ema.safetensors").unlink()
    assert same(Denoiser.from_pretrained(model), expected)


def test_weights_in_half_precision_and_in_several_files_are_opened(tmp_path):
    unet = tiny_unet()
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    assert len(list((tmp_path / "parts" / "unet").glob("*.safetensors"))) > 1
    assert same(Denoiser.from_pretrained(tmp_path / "parts").unet, unet)
    DDPMPipeline(tiny_unet().half(), DDPMScheduler()).save_pretrained(tmp_path / "half", variant="fp16")
    half = Denoiser.from_pretrained(tmp_path / "half")
    assert {weight.dtype for weight in half.parameters()} == {torch.float32} and same(half.unet, tiny_unet().half().float())
    sorted((tmp_path / "parts" / "unet").glob("*.safetensors"))[0].unlink()
    with pytest.raises(UserInputError, match=r"is not whole: diffusion_pytorch_model-00001.* is missing"):
        Denoiser.from_pretrained(tmp_path / "parts")


def test_attention_as_it_was_named_before_2023_is_opened(tmp_path):
    """As google/ddpm-cifar10-32 has it."""
    unet = tiny_unet(down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"))
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path)
    found = load_file(tmp_path / WEIGHTS)
    for old, new in checkpoint.RENAMED.items():
        found = {name.replace(new, old): weight for name, weight in found.items()}
    assert any(".proj_attn." in name for name in found)
    save_file(found, tmp_path / WEIGHTS, metadata={"format": "pt"})
    assert same(Denoiser.from_pretrained(tmp_path).unet, unet)


def test_a_network_of_2022_that_predicts_the_image_is_known_as_one(model):
    """diffusers passes over predict_epsilon today and would take the output for noise: the saved pipeline says it in today's words."""
    edit(model / "scheduler" / "scheduler_config.json", predict_epsilon=False, prediction_type="REMOVE")
    denoiser = Denoiser.from_pretrained(model)
    assert denoiser.config.prediction == "sample"
    denoiser.save_pretrained(model.parent / "again")
    assert DDPMPipeline.from_pretrained(model.parent / "again").scheduler.config.prediction_type == "sample"


@pytest.mark.parametrize("scheduler", [EulerDiscreteScheduler(use_karras_sigmas=True), DPMSolverMultistepScheduler()])
def test_other_samplers_of_the_same_kind_of_model_are_welcome(scheduler, tmp_path):
    DDPMPipeline(tiny_unet(), scheduler).save_pretrained(tmp_path)
    assert Denoiser.from_pretrained(tmp_path).config.prediction == "epsilon"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema_version": 2}, "version 2, this is 1"),
        ({"schema_version": "REMOVE"}, "version None"),
        ({"noise": "REMOVE"}, "damaged denoiser.json"),
        ({"loss_weight": {"colour": 1}}, "damaged denoiser.json"),
        ({"extra": 1}, "damaged denoiser.json"),
        ({"fold": 10**6}, "fold 1000000"),
        ({"sigma_data": float("nan")}, "sigma_data nan"),
        ({"prediction": "epsilon"}, "describes no denoiser"),
        ({"noise": {"sigma_min": 5.0, "sigma_max": 1.0}}, "describes no denoiser"),
    ],
)
def test_a_model_of_ours_from_another_version_is_a_sentence(changes, sentence, tiny_denoiser, tmp_path):
    tiny_denoiser.save_pretrained(tmp_path)
    edit(tmp_path / "denoiser.json", **changes)
    with pytest.raises(UserInputError, match=sentence):
        Denoiser.from_pretrained(tmp_path)
