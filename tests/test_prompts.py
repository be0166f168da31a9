"""Attributes by text prompts, with a tiny CLIP of random weights: the scores are those of the paper's formula, computed here once more."""

import json

import numpy as np
import pytest
import torch
from conftest import blobs

from tiw.comparing import plugins, prompts
from tiw.errors import UserInputError

WORDS = ["<|startoftext|>", "<|endoftext|>", "bright</w>", "dark</w>", "one</w>", "two</w>", "three</w>"]


def written(path, asked, model="clip"):
    path.write_text(json.dumps({"model": model, "attributes": asked}))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a CLIP that knows some letters and sees 16 pixels."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install tiw-studio[prompts]")
    home = tmp_path_factory.mktemp("prompts")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 8}
    text = {**size, "vocab_size": 40, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = transformers.CLIPConfig(text_config=text, vision_config={**size, "image_size": 16, "patch_size": 8}, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(home / "clip")
    # A tokenizer of single letters.
    letters = sorted({letter for word in WORDS[2:] for letter in word.removesuffix("</w>")})
    vocabulary = [*WORDS[:2], *letters, *(f"{letter}</w>" for letter in letters)]
    (home / "vocab.json").write_text(json.dumps({token: k for k, token in enumerate(vocabulary)}))
    (home / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(home / "vocab.json"), str(home / "merges.txt"))
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    transformers.CLIPProcessor(processor, tokenizer).save_pretrained(home / "clip")
    return home


def test_scores_are_the_softmax_of_scaled_cosines(folder):
    import transformers

    asked = {"light": {"bright": ["a", "b"], "dark": "d"}, "shape": {"one": "o", "two": "t", "three": "r"}}
    found = plugins.plugin(str(written(folder / "own.prompts.json", asked)))
    assert found.classes == {"light": ["bright", "dark"], "shape": ["one", "two", "three"]} and found.confusion == {}
    images = blobs(5, 0.5, 0).images
    scores = found.scores(images)
    clip = transformers.CLIPModel.from_pretrained(folder / "clip").eval()
    processor = transformers.CLIPProcessor.from_pretrained(folder / "clip")
    with torch.no_grad():  # whole model, one pair of sentences at once, scaled by itself
        given = processor(text=["o", "t", "r"], images=list(images), return_tensors="pt", padding=True)
        np.testing.assert_allclose(scores["shape"], clip(**given).logits_per_image.softmax(1), atol=1e-5)
        given = processor(text=["a", "b", "d"], images=list(images), return_tensors="pt", padding=True)
        whole = clip(**given)
        a, b, d = whole.text_embeds
        mean = (a + b) / (a + b).norm()
        logits = clip.logit_scale.exp() * whole.image_embeds @ torch.stack([mean, d]).T
    np.testing.assert_allclose(scores["light"], logits.softmax(1), atol=1e-5)
    counted = found.only(["light"]).counted_on(blobs(40, 0.5, 1))  # a comparison counts its errors where there are labels
    assert counted.confusion["light"].sum() == 40


def test_what_is_no_list_of_prompts_or_no_model_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(prompts, "find_spec", lambda name: object())
    for asked in ({"a": {"x": "one"}}, {"a": {"x": [], "y": "z"}}, {"a": {"x": 3, "y": "z"}}, [], {"a": {"x": " ", "y": "z"}}):
        with pytest.raises(UserInputError, match="labels"):
            prompts.open_prompts(written(tmp_path / "bad.prompts.json", asked))
    with pytest.raises(UserInputError, match="is missing"):
        prompts.open_prompts(tmp_path / "none.prompts.json")
    monkeypatch.setattr(prompts, "find_spec", lambda name: None)
    with pytest.raises(UserInputError, match="tiw-studio\\[prompts\\]"):
        plugins.plugin(str(tmp_path / "any.prompts.json"))


def test_a_model_that_cannot_be_opened_is_told_when_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(prompts, "find_spec", lambda name: object())
    opened = []
    monkeypatch.setattr(prompts, "_opened", lambda model: opened.append(model) or {}["no weights"])
    with pytest.raises(UserInputError, match=r"labels: .*own.prompts.json cannot be run .*no weights"):
        plugins.plugin(str(written(tmp_path / "own.prompts.json", {"a": {"x": "one", "y": "two"}})))
    assert opened == ["clip"]


def test_weights_that_are_not_there_are_a_sentence(folder):
    (folder / "empty").mkdir()
    found = prompts.open_prompts(written(folder / "gone.prompts.json", {"a": {"x": "one", "y": "two"}}, "empty"))
    with pytest.raises(UserInputError, match="cannot be opened"):
        found.scores(blobs(2, 0.5, 0).images)
