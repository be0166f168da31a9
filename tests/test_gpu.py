"""The GPU computes what the CPU computes (make test-gpu)."""

import numpy as np
import pytest
import torch

from tiw.debias import DebiasConfig, debias
from tiw.features import RatioConfig
from tiw.ratio import fit_density_ratio
from tiw.sampling import sample

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")]
RATIO = RatioConfig(sigmas=(0.1, 0.5, 2.0), folds=3, components=10, biased_images=100, reference_draws=1)


def test_samples_and_training_agree_with_the_cpu(blob_sets, tiny_denoiser):
    def work(device):
        denoiser = tiny_denoiser.prepare(device).eval()
        ratio = fit_density_ratio(*blob_sets, denoiser, RATIO)
        images = sample(denoiser, range(4), steps=4, guidance=ratio, strength=1.0)
        losses = [step.loss for step in debias(denoiser, *blob_sets, ratio, DebiasConfig(steps=5, batch_size=16))]
        return images.astype(int), np.array(losses)

    (images, losses), (images_gpu, losses_gpu) = work("cpu"), work("cuda")
    assert np.abs(images - images_gpu).mean() < 1
    np.testing.assert_allclose(losses_gpu, losses, rtol=2e-2)
