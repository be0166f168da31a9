"""A paragraph to cite at each result: what was done to which images, how, with what seed, and what identifies them."""

from __future__ import annotations

from html import escape

from tiw import __version__

from . import html, pictures, store, words


def fold(run: store.Run) -> str:
    """The paragraph behind a summary, with a button that copies it."""
    text = {"audit": _audit, "debias": _debias, "compare": _compare}[run.kind](run)
    body = f'<p id="cite-{run.kind}">{escape(text)}</p><button type="button" class="button" data-copy="cite-{run.kind}">Copy</button>'
    return html.fold("How to cite this", body, "a paragraph for a methods section")


def _audit(run: store.Run) -> str:
    result, options = run.result, run.options
    sets = [_set(result[role]) for role in pictures.ROLES]
    levels = [f"{level['sigma']:.2g}" for level in result["levels"]]
    span = " to ".join(levels[:: max(len(levels) - 1, 1)])
    return (
        f"Density ratios of {sets[0]} and {sets[1]} were estimated with TIW Studio {_version(run)} at {len(levels)} noise levels, "
        f"{span}, by the {result['estimator']} estimator, cross-fitted in {options['folds']} folds (seed "
        f"{options['seed']}), on features of {'the pixels' if options['baseline'] == 'none' else _model(options)}. "
        "Shares carry 95 % Wilson intervals, differences Fisher’s exact test with Holm’s adjustment."
    )


def _debias(run: store.Run) -> str:
    result, options = run.result, run.options
    kept = result.get("sets") or {}
    biased, reference = (_set(kept[role]) if role in kept else words.name_of(options, role) for role in pictures.ROLES)
    few = f" ({options['references']:,} references)" if options["references"] and not kept else ""
    strength = "" if result.get("strength") is None else f", strength {words.number(result['strength'])}"
    matched = " (matched to the reference set without labels)" if strength and words.was_matched(result) else ""
    model = _model(options)
    return (
        f"{model[0].upper()}{model[1:]}, trained on {biased}, was fine-tuned towards {reference}{few} with "
        f"TIW Studio {_version(run)} by the objective {words.OBJECTIVES[result['objective']][0]} (Kim et al., ICLR 2024) for "
        f"{result['steps']:,} steps in batches of {options['batch_size']}{strength}{matched}, "
        f"seed {options['seed']}. The model kept is the moving average of the weights."
    )


def _compare(run: store.Run) -> str:
    result, options = run.result, run.options
    last = options["seed"] + result["n"] - 1
    set_ = (result.get("sets") or {}).get("reference") or {}
    reference = _set(set_) if set_.get("name") else "the reference set"
    counted = ""
    if classifier := result.get("classifier"):
        counted = (
            f" Shares were counted by the classifier “{classifier['name']}” and corrected for its errors on labelled images where these "
            "are known. Intervals are 95 %: Wilson’s for raw shares, simultaneous ones for corrected shares. Tests carry Holm’s adjustment."
        )
    return (
        f"{result['n']:,} images of each model were drawn from the same seeds, {options['seed']:,} to {last:,}, with "
        f"{options['sampling_steps']} steps of the {options['solver']} solver in TIW Studio {_version(run)}, and held against {reference}."
        f"{counted}"
    )


def _model(options: dict) -> str:
    return words.model_name(store.called(options["baseline"]))


def _set(about: dict) -> str:
    """A set by its name, its size and what identifies it."""
    prints = (about.get("fingerprint") or {}).get("sha256", "")[:12]
    return f"“{about['name']}” ({about['n']:,} images{f', SHA-256 {prints}' if prints else ''})"


def _version(run: store.Run) -> str:
    """Of the TIW Studio that computed the run."""
    return (run.result.get("versions") or {}).get("tiw-studio") or __version__
