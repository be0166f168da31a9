"""The model card of a debiased pipeline, with Hugging Face's front matter, and its way to a hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, ModelCard, ModelCardData

from ..errors import UserInputError
from .fields import Findings

CARD = "README.md"


def write_card(model: Path, found: Findings, about: dict[str, str], digest: str, title: str = "") -> None:
    """MODEL/README.md; title: the name that a person gave the run.

    Intervals stand in the text, since the card's own metrics have no field for them.
    """
    data = ModelCardData(
        library_name="diffusers",
        pipeline_tag="unconditional-image-generation",
        tags=["diffusion", "debiased", "tiw-studio"],
        license="other",
        license_name=about.get("licence") or "not-stated",
    )
    lines = [
        "---",
        data.to_yaml(),
        "---",
        "",
        f"# {_plain(title) or 'Debiased model'}",
        "",
        _plain(found.finding),
        "",
        _plain(found.verdict),
        "",
    ]
    lines += ["Who may rely on it. " + _plain(found.reliance), ""]
    for field in found.fields:
        if field.number in (1, 3, 5, 9, 10, 11, 13, 14):
            lines += [f"## {field.title}", "", *(f"- {_plain(text)}" for text in (*field.flags, *field.texts)), ""]
    lines += [f"The full report has the hash `{digest}`.", ""]
    ModelCard("\n".join(lines)).save(model / CARD)


def _plain(text: str) -> str:
    """Labels and names are the user's: nothing of them is markup."""
    return text.replace("<", "&lt;").replace("[", "\\[").replace("`", "'").replace("\n", " ")


def push(model: Path, repository: str) -> str:
    """Send the pipeline's folder with its card to a hub; the address. Raises UserInputError where there is no card or the hub refuses."""
    if not (model / CARD).is_file():
        raise UserInputError("model", f"{model} has no model card", "make the report first: python -m tiw report RUN")
    try:
        api = HfApi()
        api.create_repo(repository, exist_ok=True, private=True)
        return str(api.upload_folder(repo_id=repository, folder_path=model))
    except Exception as error:  # no network, no token, no right to write: the client has an error for each
        reason = (str(error).splitlines() or [""])[0][:200]
        raise UserInputError(
            "to", f"{repository} could not be written ({reason})", "log in with huggingface-cli, check the name"
        ) from error
