"""The GPU computes what the CPU computes (make test-gpu); compiled blocks compute what they did before; the benchmark runs anywhere."""

import copy
import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tiw.debiasing.config import DebiasConfig
from tiw.debiasing.fine_tune import debias
from tiw.model.denoiser import Denoiser
from tiw.model.device import COMPILE_FROM, compile_blocks, pick_device
from tiw.model.networks import PRESETS
from tiw.model.sampling import sample
from tiw.ratio.density_ratio import fit_density_ratio
from tiw.ratio.features import RatioConfig

BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")
RATIO = RatioConfig(sigmas=(0.1, 0.5, 2.0), folds=3, components=10, biased_images=100, reference_draws=1)


def gpu(test):
    return pytest.mark.gpu(pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")(test))


@gpu
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


@gpu
def test_a_long_run_is_compiled_and_agrees_with_a_short_one(blob_sets, tiny_denoiser):
    """Both are looked at where the learning rate still warms up alike; the names in a checkpoint are the same."""
    denoiser = tiny_denoiser.prepare("cuda").eval()
    ratio = fit_density_ratio(*blob_sets, denoiser, RATIO)
    short, long = (
        debias(denoiser, *blob_sets, ratio, DebiasConfig(steps=steps, batch_size=16, learning_rate=1e-9))
        for steps in (COMPILE_FROM - 1, COMPILE_FROM)
    )
    for _ in range(3):
        one, other = next(short), next(long)
        assert abs(one.loss - other.loss) < 1e-2 * abs(one.loss)
    assert list(one.denoiser.state_dict()) == list(other.denoiser.state_dict())


@gpu
def test_a_gpu_multiplies_float32_in_tf32():
    torch.set_float32_matmul_precision("highest")
    pick_device("cuda")
    assert torch.get_float32_matmul_precision() == "high"


def agree(plain: Denoiser, compiled: Denoiser) -> None:
    """Denoised image, features, their gradient and the loss's gradient of both, at three noise levels; the same names."""
    xt = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.1, 1.0, 10.0])
    assert list(plain.state_dict()) == list(compiled.state_dict())
    for _ in range(2):  # with hooks put on and taken off in between
        found = []
        for model in (plain, compiled):
            x = xt.clone().requires_grad_(True)
            denoised, features = model.with_features(x, sigma)
            gradient = torch.autograd.grad(features.square().sum(), x)[0]
            model.zero_grad()
            model(xt, sigma).square().mean().backward()
            weight = next(model.parameters()).grad
            found.append((denoised, features.detach(), gradient, model.features(xt, sigma).detach(), weight.clone()))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)


@pytest.fixture
def pair():
    """The same tiny denoiser twice, the second to be compiled."""
    torch.manual_seed(0)
    plain = Denoiser.new(PRESETS["tiny"]).eval()
    yield plain, copy.deepcopy(plain)
    torch.compiler.reset()


compiler = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # torch's own


@compiler
def test_blocks_are_handed_to_the_compiler_and_hooks_between_them_still_work(pair, monkeypatch):
    plain, compiled = pair
    compile_, graphs = torch.nn.Module.compile, []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compile_(module, backend=backend))
    compile_blocks(compiled.unet)
    agree(plain, compiled)
    assert len(graphs) >= 6  # two blocks down, two residual blocks in the middle, two blocks up
    assert not any("_orig_mod" in name for name in compiled.state_dict())


@pytest.mark.filterwarnings("ignore")  # the compiler's own, of many kinds
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_blocks_compute_the_same(pair):
    compile_blocks(pair[1].unet)
    agree(*pair)
    assert torch._dynamo.utils.counters["inductor"], "nothing was compiled"


@compiler
def test_without_a_compiler_the_blocks_run_as_they_are(pair, monkeypatch):
    def no_compiler(*_):
        raise RuntimeError("no compiler here")

    compile_ = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compile_(module, backend=no_compiler))
    compile_blocks(pair[1].unet)
    agree(*pair)


def test_the_benchmark_runs_at_a_tiny_size(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    module = importlib.import_module("gpu")
    try:
        found = module.benchmark(tiny=True, repeats=2, warm_up=1)
        assert module.peak_flops("NVIDIA H100 80GB HBM3") == 989e12 and module.peak_flops("Some other card") is None
    finally:
        for name in ("gpu", "demo_loop"):
            sys.modules.pop(name, None)
    assert found["parameters"] == sum(p.numel() for p in Denoiser.new(PRESETS["tiny"]).parameters())
    for mode in ("plain", "fast"):
        # A step of TIW-DSM is a step of score matching and a part of the baseline's pass, backwards too.
        assert 1 < found[mode]["tiw"]["flops_an_image"] / found[mode]["dsm"]["flops_an_image"] < 2
        assert all(found[mode][kind]["images_per_second"] > 0 for kind in ("dsm", "tiw", "default"))
        assert found[mode]["default"]["share_of_peak"] is None
