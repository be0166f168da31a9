"""Denoisers against the schedulers they were trained with."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, EDMEulerScheduler, UNet2DModel

from tiw.errors import UserInputError
from tiw.model.denoiser import Denoiser
from tiw.model.networks import PRESETS


def tiny_unet():
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "UpBlock2D")}
    return UNet2DModel(sample_size=16, layers_per_block=1, block_out_channels=(16, 32), norm_num_groups=8, attention_head_dim=16, **blocks)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_wrapped_ddpm_denoises_as_its_own_scheduler(tmp_path, prediction):
    scheduler = DDPMScheduler(prediction_type=prediction, clip_sample=False)
    unet = tiny_unet()
    DDPMPipeline(unet, scheduler).save_pretrained(tmp_path)
    denoiser = Denoiser.from_pretrained(tmp_path)
    t = torch.tensor([0, 250, 900])
    sigma = denoiser.schedule.sigma(t.float())
    vp = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = denoiser(vp * (1 + sigma**2).sqrt()[:, None, None, None], sigma)
        for i in range(3):
            output = unet(vp[i : i + 1], t[i]).sample
            theirs = scheduler.step(output, t[i], vp[i : i + 1]).pred_original_sample[0]
            torch.testing.assert_close(ours[i], theirs, atol=1e-5 * float(1 + sigma[i]), rtol=0)


def test_a_wrapped_edm_pipeline_denoises_as_its_own_scheduler(tmp_path):
    scheduler, unet = EDMEulerScheduler(sigma_data=0.6), tiny_unet()
    DDPMPipeline(unet, scheduler).save_pretrained(tmp_path)
    denoiser = Denoiser.from_pretrained(tmp_path)
    for sigma in torch.tensor([0.01, 0.4, 20.0]):
        xt = (1 + sigma) * torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            output = unet(scheduler.precondition_inputs(xt, sigma), scheduler.precondition_noise(sigma)).sample
            torch.testing.assert_close(denoiser(xt, sigma.expand(2)), scheduler.precondition_outputs(xt, output, sigma))


def test_other_edm_parameterisations_are_refused(tmp_path):
    DDPMPipeline(tiny_unet(), EDMEulerScheduler(prediction_type="v_prediction")).save_pretrained(tmp_path)
    with pytest.raises(UserInputError, match="v_prediction"):
        Denoiser.from_pretrained(tmp_path)


def test_features_are_those_of_the_full_pass_and_differentiable():
    torch.manual_seed(0)
    denoiser = Denoiser.new(PRESETS["tiny"]).eval()
    xt, sigma = torch.randn(2, 3, 16, 16), torch.tensor([0.3, 2.0])
    denoised, features = denoiser.with_features(xt, sigma)
    torch.testing.assert_close(denoiser.features(xt, sigma), features)
    torch.testing.assert_close(denoiser(xt, sigma), denoised)
    assert torch.is_grad_enabled()
    xt = xt.requires_grad_(True)
    for read in (denoiser.features, lambda x, s: denoiser.with_features(x, s)[1]):
        (gradient,) = torch.autograd.grad(read(xt, sigma)[0].sum(), xt)
        assert gradient[0].abs().sum() > 0 and gradient[1].abs().sum() == 0


def test_saving_and_loading_changes_nothing(tmp_path):
    torch.manual_seed(0)
    denoiser = Denoiser.new(PRESETS["tiny"]).eval()
    denoiser.save_pretrained(tmp_path)
    again = Denoiser.from_pretrained(tmp_path).eval()
    xt, sigma = torch.randn(2, 3, 16, 16), torch.tensor([0.3, 2.0])
    assert again.config == denoiser.config and again.shape == (3, 16, 16)
    assert torch.equal(again(xt, sigma), denoiser(xt, sigma)) and torch.equal(again.loss_weight(sigma), denoiser.loss_weight(sigma))


V_SCHEDULER = DDIMScheduler(prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2")


@pytest.mark.parametrize("scheduler", [V_SCHEDULER, EDMEulerScheduler()])
def test_a_wrapped_pipeline_is_saved_as_that_pipeline(tmp_path, scheduler):
    DDPMPipeline(tiny_unet(), scheduler).save_pretrained(tmp_path / "given")
    given = Denoiser.from_pretrained(tmp_path / "given")
    with torch.no_grad():
        given.unet.conv_out.weight += 0.1  # some training
    given.save_pretrained(tmp_path / "saved")
    again = Denoiser.from_pretrained(tmp_path / "saved")
    xt, sigma = torch.randn(2, 3, 16, 16), torch.tensor([0.3, 2.0])
    assert again.config == given.config and torch.equal(again(xt, sigma), given(xt, sigma))
    for name in ("model_index.json", "scheduler/scheduler_config.json"):
        assert (tmp_path / "saved" / name).read_bytes() == (tmp_path / "given" / name).read_bytes()
    theirs = DDPMPipeline.from_pretrained(tmp_path / "saved")
    assert torch.equal(theirs.unet.conv_out.weight, given.unet.conv_out.weight)


def test_a_pickle_is_refused_by_name(tmp_path):
    DDPMPipeline(tiny_unet(), DDPMScheduler()).save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(UserInputError, match=r"diffusion_pytorch_model\.bin.*pickle"):
        Denoiser.from_pretrained(tmp_path)
    with pytest.raises(UserInputError, match="model_index"):
        Denoiser.from_pretrained(tmp_path / "unet")
