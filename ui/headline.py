"""What a comparison found, in a few large numbers."""

from __future__ import annotations

from tiw.sentences import too_far

from . import html, quality, store, words


def numbers(run: store.Run) -> str:
    """The cards of the two distances, the tiles below them and the downloads."""
    result = run.result
    n, unfairness = result["n"], result.get("fairness_discrepancy")
    cards = [_discrepancy(unfairness, result.get("total_variation"), n)] if unfairness else []
    cards.append(quality.card(result))
    rest = _memory(result)
    links = (
        f'<div class="links"><a class="button" href="tiw/{run.id}/result.json" download>All numbers (JSON)</a>'
        f'<a class="button" href="tiw/{run.id}/report.html" download>Report (HTML)</a>'
        f'<a class="button" href="tiw/{run.id}/shares.csv" download>Shares (CSV)</a>{_model_link(run)}{html.copy_link(run.id)}</div>'
    )
    return f'<div class="stack"><div class="tiw-two">{"".join(cards)}</div>{rest}{links}</div>'


def _model_link(run: store.Run) -> str:
    trained = store.maker_of(run.options["debiased"])
    return f'<a class="button" href="tiw/{trained.id}/model.zip" download>Debiased model (zip)</a>' if trained else ""


def _big(measure: dict, digits: int) -> str:
    before, after = measure["baseline"], measure["debiased"]

    def show(value: float) -> str:
        return words.number(value, digits)

    return (
        f'<div class="big"><span class="from">{show(before["value"])}</span><span class="arrow" aria-label="becomes">→</span>'
        f'<span class="to">{show(after["value"])}</span></div>'
        f"<p>Baseline {words.interval(before, show)}. Debiased {words.interval(after, show)}.</p>"
    )


def _discrepancy(measure: dict, variation: dict | None, n: int) -> str:
    fall = measure.get("fall")
    fell = f" It fell by <b>{words.percent(fall)}</b>." if fall is not None else ""
    floor = measure.get("floor")
    least = (
        f"Drawing {n:,} images from the target itself would give about {words.number(floor['value'], 3)}: less cannot be measured."
        if floor
        else ""
    )
    also = (
        f" Total variation: {words.number(variation['baseline']['value'], 3)} → {words.number(variation['debiased']['value'], 3)}."
        if variation
        else ""
    )
    return html.card(
        f"<h3>Discrepancy of the shares</h3>{_big(measure, 3)}<small>Distance between the joint shares of the samples and the target; 0 is "
        f"equal.{fell} {least}{also} n = {n:,} each.</small>"
    )


def _memory(result: dict) -> str:
    found, gap = [], result.get("gap_closed")
    if gap:
        found.append(
            html.tile(
                html.term("gap closed", "Gap closed"),
                words.percent(gap["value"]),
                words.interval(gap, words.percent),
                too_far(gap) or "judged without labels",
                "debiased",
            )
        )
    for key, images in (("closer_to_reference", "references"), ("closer_to_training", "training images")):
        for name, closer in (result.get(key) or {}).items():
            help_ = f"than to held-out images; 50 %: none copied, n = {closer['n']:,}"
            title, range_ = f"Nearer to {images}, {name}", words.interval(closer, words.percent)
            found.append(html.tile(title, words.percent(closer["value"]), range_, help_, name))
    return html.tiles(*found) if found else ""
