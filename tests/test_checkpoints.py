"""Anyone's checkpoints, in and out: pipelines that diffusers made, fine-tuned by the real commands, sampled by diffusers alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from conftest import blobs
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    UNet2DModel,
)
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file

from tiw.debiasing.config import DebiasConfig
from tiw.debiasing.fine_tune import _draw, _losses
from tiw.errors import UserInputError
from tiw.model.denoiser import Denoiser
from tiw.model.noise import to_x0
from tiw.model.sampling import labels_like, sample, solve
from tiw.ratio.density_ratio import DensityRatio
from tiw.ratio.features import features_at
from tiw.run import actions
from tiw.run.execute import execute
from tiw.run.folder import RunFolder
from tiw.run.inputs import open_denoiser, open_inputs
from tiw.run.options import OPTIONS, AuditOptions, DebiasOptions, SampleOptions

ROOT = Path(__file__).parents[1]
BIASED, REFERENCE = blobs(200, 0.2, 0), blobs(60, 0.6, 1)
BLOCKS = {"down_block_types": ("DownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "UpBlock2D")}
TOLERANCE = 5e-5  # of samples in [0, 1]; rounding makes 6e-6
SCHEDULERS = {
    "epsilon": DDPMScheduler(clip_sample=False, beta_end=0.015),  # not the defaults, so that defaults are told from what was given
    "v_prediction": DDIMScheduler(
        clip_sample=False, prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2", num_train_timesteps=500
    ),
    "sample": DDPMScheduler(clip_sample=False, prediction_type="sample", beta_schedule="scaled_linear"),
    "zero terminal SNR": DDIMScheduler(clip_sample=False, prediction_type="v_prediction", rescale_betas_zero_snr=True),
}


def tiny_unet(**changes):
    torch.manual_seed(0)
    size = {"sample_size": 16, "layers_per_block": 1, "block_out_channels": (16, 32), "norm_num_groups": 8, "attention_head_dim": 16}
    return UNet2DModel(**{**size, **BLOCKS, **changes})


def trained_pipeline(folder, scheduler, steps):
    """A pipeline trained for so many steps by diffusers' own means, so that its samples stay in range, and saved."""
    unet = tiny_unet()
    optimizer = torch.optim.Adam(unet.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x0 = to_x0(BIASED.images[torch.randint(200, (16,), generator=generator).numpy()])
        noise = torch.randn(x0.shape, generator=generator)
        t = torch.randint(scheduler.config.num_train_timesteps, (16,), generator=generator)
        xt = scheduler.add_noise(x0, noise, t)
        kind = scheduler.config.prediction_type
        target = {"epsilon": noise, "sample": x0}.get(kind) if kind != "v_prediction" else scheduler.get_velocity(x0, noise, t)
        optimizer.zero_grad()
        (unet(xt, t).sample - target).square().mean().backward()
        optimizer.step()
    DDPMPipeline(unet, scheduler).save_pretrained(folder)


@pytest.fixture
def inputs(tmp_path):
    for name, images in (("biased", BIASED), ("reference", REFERENCE)):
        np.savez(tmp_path / f"{name}.npz", images=images.images, light=images.attributes["light"].to_numpy(str))
    paths = {"biased": "biased.npz", "reference": "reference.npz", "baseline": "given"}
    return {**{name: str(tmp_path / path) for name, path in paths.items()}, "device": "cpu"}


def fine_tuned(inputs, out, **changes):
    fixed = {"strength": "1", "steps": 2, "batch_size": 8, "learning_rate": 1e-3, "precision": "float32"}
    options = DebiasOptions(**{**inputs, **fixed, **changes})
    folder = RunFolder.create(out, "debias", options)
    return actions.debias(folder, options)


def ours(folder, noise, timesteps):
    """Euler in sigma on the trained steps `timesteps`, from VP noise; images in [0, 1]."""
    denoiser = Denoiser.from_pretrained(folder).eval()
    sigmas = denoiser.schedule.sigma(timesteps.float())
    with torch.no_grad():
        *_, x = solve(denoiser, noise * (1 + sigmas[0] ** 2).sqrt(), torch.cat([sigmas, torch.zeros(1)]), "euler")
    return (x / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_a_fine_tuned_pipeline_is_sampled_by_diffusers_alone_as_by_us(kind, inputs, tmp_path):
    trained_pipeline(tmp_path / "given", SCHEDULERS[kind], steps=0 if kind == "sample" else 20)
    fine_tuned(inputs, tmp_path / "run", objective="tiw-dsm" if kind == "epsilon" else "dsm-obs")
    for part in ("model", "raw"):
        folder = tmp_path / "run" / part
        for file in ("model_index.json", "scheduler/scheduler_config.json"):
            assert (folder / file).read_bytes() == (tmp_path / "given" / file).read_bytes()
        assert not [file.name for file in folder.rglob("*") if file.is_file() and file.suffix not in (".json", ".safetensors")]
        DDPMPipeline.from_pretrained(folder)(batch_size=1, num_inference_steps=2, output_type="np")

        theirs = DDIMPipeline.from_pretrained(folder)
        theirs.set_progress_bar_config(disable=True)
        theirs.scheduler.set_timesteps(10)
        timesteps = theirs.scheduler.timesteps
        if kind == "zero terminal SNR":  # its last step is pure noise, which "leading" steps do not visit
            assert timesteps.max() < 999
        images = theirs(batch_size=4, generator=torch.Generator().manual_seed(5), eta=0.0, num_inference_steps=10, output_type="np").images
        noise = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(5))
        np.testing.assert_allclose(ours(folder, noise, timesteps), images, atol=TOLERANCE)
        inside = images[(images > 0) & (images < 1)]  # of black, of white and of an even grey nothing would be seen
        assert inside.size > 100 and inside.std() > 0.1
        weights = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
        given = load_file(tmp_path / "given" / "unet" / "diffusion_pytorch_model.safetensors")
        assert weights.keys() == given.keys() and any(not torch.equal(weights[name], given[name]) for name in given)


def test_the_command_keeps_the_moving_average_and_the_raw_weights(inputs, tmp_path):
    """After two steps the average is 2/11 w1 + 9/11 w2 (EMAModel's warm-up); Adam's first step moves every weight by its rate, 1e-3 / 5."""
    trained_pipeline(tmp_path / "given", SCHEDULERS["epsilon"], steps=5)
    words = {"objective": "dsm-obs", "steps": 2, "batch-size": 8, "learning-rate": 1e-3, "precision": "float32", **inputs}
    command = [sys.executable, "-m", "tiw", "debias", "--out", str(tmp_path / "run"), *(f"--{k}={v}" for k, v in words.items())]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    given, raw, average = (
        torch.cat([w.double().flatten() for w in load_file(folder / "unet" / "diffusion_pytorch_model.safetensors").values()])
        for folder in (tmp_path / "given", tmp_path / "run" / "raw", tmp_path / "run" / "model")
    )
    first = (11 * average - 9 * raw) / 2
    assert abs((first - given).abs().median() - 2e-4) < 2e-6 and (raw - average).abs().median() > 1e-5
    DDPMPipeline.from_pretrained(tmp_path / "run" / "model")


def test_an_edm_pipeline_goes_in_and_out(inputs, tmp_path):
    scheduler = EDMEulerScheduler(sigma_data=0.6)
    DDPMPipeline(tiny_unet(), scheduler).save_pretrained(tmp_path / "given")
    fine_tuned(inputs, tmp_path / "run", objective="dsm-ref")
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "run" / "model")
    assert isinstance(pipeline.scheduler, EDMEulerScheduler) and pipeline.scheduler.config.sigma_data == 0.6


def test_the_oldest_layout_keeps_everything_in_the_root(tmp_path):
    """As google/ddpm-cifar10-32 has it: config.json, weights and scheduler_config.json beside model_index.json."""
    trained_pipeline(tmp_path / "given", SCHEDULERS["epsilon"], steps=1)
    xt, sigma = torch.randn(2, 3, 16, 16), torch.tensor([0.3, 2.0])
    expected = Denoiser.from_pretrained(tmp_path / "given").eval()(xt, sigma)
    for file in [*(tmp_path / "given").glob("unet/*"), *(tmp_path / "given").glob("scheduler/*")]:
        shutil.move(file, tmp_path / "given")
    for name in ("unet", "scheduler"):
        (tmp_path / "given" / name).rmdir()
    flat = Denoiser.from_pretrained(tmp_path / "given").eval()
    assert torch.equal(flat(xt, sigma), expected)
    flat.save_pretrained(tmp_path / "saved")  # the layout of today
    assert torch.equal(Denoiser.from_pretrained(tmp_path / "saved").eval()(xt, sigma), expected)
    assert isinstance(DDPMPipeline.from_pretrained(tmp_path / "saved").scheduler, DDPMScheduler)


@pytest.mark.parametrize(
    ("unet", "scheduler", "sentence"),
    [
        ({"in_channels": 1, "out_channels": 1}, DDPMScheduler(), "1 channels in"),
        ({"out_channels": 6}, DDPMScheduler(variance_type="learned_range"), "6 out"),
        ({"sample_size": (16, 32)}, DDPMScheduler(), "sample_size"),
        ({"sample_size": None}, DDPMScheduler(), "sample_size None"),
        ({}, FlowMatchEulerDiscreteScheduler(), "FlowMatchEulerDiscreteScheduler"),
    ],
)
def test_other_networks_and_schedulers_are_refused_by_name(unet, scheduler, sentence, tmp_path):
    DDPMPipeline(tiny_unet(**unet), scheduler).save_pretrained(tmp_path)
    with pytest.raises(UserInputError, match=sentence):
        Denoiser.from_pretrained(tmp_path)


def test_latent_pipelines_and_other_classes_are_refused_by_name(tmp_path):
    trained_pipeline(tmp_path, DDPMScheduler(), steps=0)
    index = json.loads((tmp_path / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps({**index, "vqvae": ["diffusers", "VQModel"]}))
    with pytest.raises(UserInputError, match="vqvae"):
        Denoiser.from_pretrained(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    config = json.loads((tmp_path / "unet" / "config.json").read_text())
    (tmp_path / "unet" / "config.json").write_text(json.dumps({**config, "_class_name": "UNet2DConditionModel"}))
    with pytest.raises(UserInputError, match="UNet2DConditionModel"):
        Denoiser.from_pretrained(tmp_path)


def test_a_hub_id_is_fetched_only_where_no_folder_is(tmp_path, monkeypatch):
    trained_pipeline(tmp_path / "cache", DDPMScheduler(), steps=0)
    asked, revisions = [], []
    monkeypatch.setattr("tiw.model.opening.FETCHED", {})

    def download(hub_id, revision, allow_patterns):
        asked.append((hub_id, allow_patterns))
        revisions.append(revision)
        if hub_id != "someone/faces-64":
            raise OSError("no such model\nand much more")
        return str(tmp_path / "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert Denoiser.from_pretrained("someone/faces-64").shape == (3, 16, 16)
    assert all(pattern.endswith((".json", ".safetensors")) for pattern in asked[0][1])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserInputError, match=r"'some/typo' .*no such folder is in .* the hub \(OSError: no such model\)") as error:
        Denoiser.from_pretrained("some/typo")
    assert str(tmp_path) in str(error.value)
    shutil.copytree(tmp_path / "cache", tmp_path / "someone" / "faces-64")
    Denoiser.from_pretrained("someone/faces-64")
    for path in ("/no/where", "a/b/c", "nowhere", "../x", "someone"):
        with pytest.raises(UserInputError, match="baseline"):
            Denoiser.from_pretrained(path)
    assert list(dict.fromkeys(hub_id for hub_id, _ in asked)) == ["someone/faces-64", "some/typo"]


@pytest.fixture
def on_hub(tmp_path, monkeypatch):
    """The folder of a model on the hub, and the one that what is asked for of it is fetched to, by the hub's own reading of patterns."""
    hub, cache = tmp_path / "hub", tmp_path / "cache"

    def download(hub_id, revision, allow_patterns):
        names = [path.relative_to(hub).as_posix() for path in hub.rglob("*") if path.is_file()]
        for name in filter_repo_objects(names, allow_patterns=allow_patterns):
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(hub / name, cache / name)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr("tiw.model.opening.FETCHED", {})
    for part in ("vae/diffusion_pytorch_model", "text_encoder/model", "ema/unet/diffusion_pytorch_model", "faces-v1"):
        (hub / part).parent.mkdir(parents=True, exist_ok=True)
        (hub / f"{part}.safetensors").write_bytes(b"x")
    return hub, cache


@pytest.mark.parametrize("kind", ["pipeline", "oldest", "ours"])
def test_of_a_hubs_model_comes_what_is_read_and_nothing_else(kind, on_hub, tiny_denoiser):
    """The root's `*.safetensors` found those of every folder."""
    hub, cache = on_hub
    network, texts = ["config.json", "diffusion_pytorch_model.safetensors"], ["model_index.json", "scheduler/scheduler_config.json"]
    if kind == "ours":
        texts = ["denoiser.json"]
        tiny_denoiser.save_pretrained(hub)
    else:
        trained_pipeline(hub, DDPMScheduler(), steps=0)
    wanted = {*texts, *(f"unet/{name}" for name in network)}
    if kind == "oldest":
        for name in wanted:
            (hub / name).rename(hub / Path(name).name)
        shutil.rmtree(hub / "unet")
        wanted = {Path(name).name for name in wanted}
    Denoiser.from_pretrained("someone/faces-64")
    assert {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()} == wanted


@pytest.mark.parametrize(("index", "match"), [({"vae": ["diffusers", "AutoencoderKL"]}, "holds vae beside"), (None, "holds neither")])
def test_no_weights_come_of_a_hubs_model_that_is_refused(index, match, on_hub):
    """Stable Diffusion's were gigabytes, fetched before the first look at its model_index.json."""
    hub, cache = on_hub
    trained_pipeline(hub, DDPMScheduler(), steps=0)
    file = hub / "model_index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | index)) if index else file.unlink()
    with pytest.raises(UserInputError, match=match):
        Denoiser.from_pretrained("someone/faces-64")
    assert (cache / "unet" / "config.json").is_file() and not [*cache.rglob("*.safetensors")]


def test_a_model_of_the_hub_is_of_one_commit_which_the_result_names(tmp_path, monkeypatch):
    asked = []

    def download(hub_id, revision, allow_patterns):
        asked.append((hub_id, revision))
        commit = {None: "c" * 40, "v1": "d" * 40}.get(revision, revision)
        if not (tmp_path / commit).is_dir():
            trained_pipeline(tmp_path / commit, DDPMScheduler(), steps=0)
        return str(tmp_path / commit)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr("tiw.model.opening.FETCHED", {})
    for name in ("someone/faces", "someone/faces", "someone/faces@v1"):
        Denoiser.from_pretrained(name)
    c, d = "c" * 40, "d" * 40  # what follows a first answer is of its commit
    assert asked == [("someone/faces", revision) for revision in (None, c, c, c, "v1", d)]

    options = SampleOptions(model="someone/faces", count=2, sampling_steps=2, device="cpu")
    run = RunFolder.create(tmp_path / "run", "sample", options)
    assert execute(run) == 0, run.status()
    assert run.result()["hub_models"]["someone/faces"] == "c" * 40


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_fine_tuning_goes_on_with_the_checkpoints_own_loss(kind, tmp_path):
    """lambda * mean (D - x0)^2 is the plain error of what the network predicts, and the levels are its own steps, equally often."""
    scheduler = SCHEDULERS[kind]
    trained_pipeline(tmp_path, scheduler, steps=1)
    denoiser = Denoiser.from_pretrained(tmp_path).eval()
    x0, noise = torch.rand(3, 3, 16, 16) * 2 - 1, torch.randn(3, 3, 16, 16)
    t = torch.tensor([3, 200, 450])
    with torch.no_grad():
        output = denoiser.unet(scheduler.add_noise(x0, noise, t), t).sample
        target = {"epsilon": noise, "sample": x0, "v_prediction": scheduler.get_velocity(x0, noise, t)}[kind]
        sigma = denoiser.schedule.sigma(t.float())
        error = denoiser(x0 + sigma[:, None, None, None] * noise, sigma) - x0
    ours = denoiser.loss_weight(sigma) * error.square().mean((1, 2, 3))
    torch.testing.assert_close(ours, (output - target).square().mean((1, 2, 3)), rtol=2e-3, atol=0)

    drawn = denoiser.schedule.t(denoiser.config.noise.draw(20_000, torch.Generator().manual_seed(0)))
    steps = scheduler.config.num_train_timesteps
    assert (drawn - drawn.round()).abs().max() < 0.01
    assert abs(drawn.mean() / (steps - 1) - 0.5) < 4 * 12**-0.5 / 20_000**0.5
    assert abs((drawn < steps / 4).double().mean() - 0.25) < 4 * (0.1875 / 20_000) ** 0.5


@pytest.fixture
def conditional(inputs, tmp_path):
    """A class-conditional pipeline of two classes, untrained, with an output that listens to the class."""
    unet = tiny_unet(num_class_embeds=2)
    DDPMPipeline(unet, SCHEDULERS["v_prediction"]).save_pretrained(tmp_path / "given")
    return {**inputs, "class_label": "light"}


@pytest.mark.parametrize("objective", ["dsm-ref", "tiw-dsm"])
def test_a_class_conditional_pipeline_keeps_its_label(objective, conditional, tmp_path):
    fine_tuned(conditional, tmp_path / "run", objective=objective)
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "run" / "model")
    given = load_file(tmp_path / "given" / "unet" / "diffusion_pytorch_model.safetensors")["class_embedding.weight"]
    moved = (pipeline.unet.class_embedding.weight.detach() - given).abs().max(1).values
    assert moved.shape == (2,) and (moved > 1e-5).all()  # both classes were trained

    denoiser = Denoiser.from_pretrained(tmp_path / "run" / "model").eval()
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(5)
    x = noise = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    labels = torch.tensor([0, 1, 1, 0])
    sigmas = denoiser.schedule.sigma(scheduler.timesteps.float())
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(pipeline.unet(x, t, class_labels=labels).sample, t, x, eta=0.0).prev_sample
        levels = torch.cat([sigmas, torch.zeros(1)])
        *_, found = solve(denoiser.given(labels), noise * (1 + sigmas[0] ** 2).sqrt(), levels, "euler")
        *_, other = solve(denoiser.given(1 - labels), noise * (1 + sigmas[0] ** 2).sqrt(), levels, "euler")
    scale = float(x.abs().max())
    torch.testing.assert_close(found, x, atol=1e-3 * scale, rtol=0)
    assert (other - x).abs().max() > 0.01 * scale

    alike = [sample(denoiser, range(6), steps=2, labels=np.full(6, k)) for k in (0, 1)]
    drawn = sample(denoiser, range(6), steps=2)  # each seed draws its class
    of_class = [int(np.array_equal(drawn[i], alike[1][i])) for i in range(6)]
    assert all(np.array_equal(drawn[i], alike[k][i]) for i, k in enumerate(of_class)) and 0 < sum(of_class) < 6


def test_a_class_conditional_model_is_audited_previewed_and_compared_in_the_references_classes(conditional, tmp_path):
    def done(kind, **changes):
        common = {name: conditional[name] for name in ("baseline", "reference", "class_label", "device")}
        options = OPTIONS[kind](**common, **changes)
        run = RunFolder.create(tmp_path / kind, kind, options)
        return run, actions.EXECUTE[kind](run, options)

    biased = {"biased": conditional["biased"]}
    _, audited = done("audit", **biased, scored=120, map=False)
    assert audited["levels"][0]["auc"]["value"] > 0.6  # 20 against 60 % bright
    run, preview = done("preview", **biased, audit=str(tmp_path / "audit"), count=6, sampling_steps=3)
    drawn, labels = np.load(run.path / "samples.npz"), labels_like((REFERENCE.attributes["light"] == "dark").to_numpy(int), range(6))
    denoiser = open_denoiser(conditional["baseline"], "cpu")
    ratio = DensityRatio.load(tmp_path / "audit" / "ratio", denoiser)
    strength = preview["strength"]
    of_class = [sample(denoiser, range(6), steps=3, guidance=ratio, strength=strength, labels=np.full(6, k)) for k in (0, 1)]
    agree = np.array([[np.array_equal(drawn["debiased"][i], images[i]) for images in of_class] for i in range(6)])
    assert (agree == np.eye(2, dtype=bool)[labels]).all() and set(labels) == {0, 1}
    _, debiased = done("debias", **biased, audit=str(tmp_path / "audit"), steps=2, batch_size=8, precision="float32")
    gap = debiased["gap_closed"]  # these references may be too few to measure it
    assert debiased["strength"] == strength and (gap is None or np.isfinite(gap["value"]))
    run, _ = done("compare", debiased=str(tmp_path / "debias" / "model"), count=10, sampling_steps=3)
    compared = np.load(run.path / "samples.npz")
    assert np.array_equal(compared["baseline"][:6], drawn["baseline"])  # the same seeds, the same classes


def test_each_image_is_trained_and_scored_with_its_own_label(conditional, tmp_path):
    options = DebiasOptions(**conditional, objective="dsm-obs", precision="float32")
    biased, reference, denoiser = open_inputs(RunFolder.create(tmp_path / "run", "debias", options), options)
    for images, source in ((biased, BIASED), (reference, REFERENCE)):
        assert ((images.labels == 0) == (source.attributes["light"] == "bright")).all()  # names in alphabetical order
    config = DebiasConfig("dsm-obs", batch_size=16)
    batch = _draw(denoiser, biased, reference, config, 1)
    assert ((batch.x0.mean((1, 2, 3)) > 0) == (batch.labels == 0)).all() and len(set(batch.labels.tolist())) == 2
    loss, _ = _losses(denoiser, denoiser, None, batch, config)
    scheduler, t = SCHEDULERS["v_prediction"], denoiser.schedule.t(batch.sigma).round().long()
    with torch.no_grad():
        output = denoiser.unet(scheduler.add_noise(batch.x0, batch.noise, t), t, class_labels=batch.labels).sample
    torch.testing.assert_close(
        loss, (output - scheduler.get_velocity(batch.x0, batch.noise, t)).square().mean((1, 2, 3)), rtol=2e-3, atol=0
    )

    rows, sigma = np.arange(5), (0.5,)
    found = features_at(denoiser, biased.images[:5], rows, sigma, 0, labels=np.array([0, 1, 0, 1, 1]))[0, 0]
    one, other = (features_at(denoiser, biased.images[:5], rows, sigma, 0, labels=np.full(5, k))[0, 0] for k in (0, 1))
    torch.testing.assert_close(found, torch.where(torch.tensor([0, 1, 0, 1, 1])[:, None] == 0, one, other))
    assert not torch.allclose(one, other)


def test_a_class_conditional_model_asks_for_its_labels(conditional, tmp_path):
    denoiser = Denoiser.from_pretrained(tmp_path / "given")
    with pytest.raises(UserInputError, match="class-conditional"):
        denoiser(torch.zeros(1, 3, 16, 16), torch.ones(1))
    for number, (changes, sentence) in enumerate(
        (
            ({"class_label": ""}, "class_label: the biased set has the labels light, not ''"),
            ({"class_label": "size"}, "class_label"),
        )
    ):
        with pytest.raises(UserInputError, match=sentence):
            fine_tuned(conditional, tmp_path / f"run{number}", **{"objective": "dsm-ref", **changes})
    options = AuditOptions(**{**conditional, "class_label": ""})
    with pytest.raises(UserInputError, match=r"class_label: the biased set has .* the model paints 2 classes"):
        actions.audit(RunFolder.create(tmp_path / "audit", "audit", options), options)
    DDPMPipeline(tiny_unet(num_class_embeds=3), DDPMScheduler()).save_pretrained(tmp_path / "given")
    with pytest.raises(UserInputError, match=r"'light' has 2 values \(bright, dark\), the model 3 classes"):
        fine_tuned(conditional, tmp_path / "three", objective="dsm-ref")
    DDPMPipeline(tiny_unet(class_embed_type="timestep"), DDPMScheduler()).save_pretrained(tmp_path / "given")
    with pytest.raises(UserInputError, match="class embeddings of type timestep"):
        Denoiser.from_pretrained(tmp_path / "given")


def test_a_saved_model_tells_no_place_on_the_machine_that_it_was_read_on(tiny_denoiser, tmp_path):
    tiny_denoiser.save_pretrained(tmp_path / "first")
    Denoiser.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    written = [file for file in (tmp_path / "second").rglob("*") if file.is_file()]
    assert written and not [file for file in written if str(tmp_path).encode() in file.read_bytes()]
