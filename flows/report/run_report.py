"""The report of a rewriting run: its results in figures, and a reader for its rewrites."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from fidelity.calibration.calibration import QUESTIONS, Kind, load_calibration
from fidelity.checker import kind_of
from fidelity.embeddings.encoder import PACKAGED_ENCODER, Encoder
from flows.report import svg
from flows.report.facts import add_discrepancies
from flows.report.html import css_class, render
from flows.report.links import link
from flows.report.pairs import Pair, read_pairs
from flows.report.reader import item, script_json
from flows.report.tally import ACCEPTED, Tally, tally
from flows.report.throughput import throughput
from flows.results.display import SCORES, Outcome, cache_note, duration, meaning, plain
from flows.results.diversity import N_MEASURED, RecipeDiversity, measure_diversity
from flows.results.summary import Summary, summarize
from rephrase.dataset.plan import load_plan
from rephrase.dataset.run_recipes import run_recipes
from rephrase.dataset.shards import read_commits
from rephrase.prompting.recipes import Recipe
from rephrase.records import Check, Question
from rephrase.storage.storage import Storage

SECTIONS = (
    ("summary", "Summary"),
    ("acceptance", "Accepted and rejected"),
    ("scores", "Scores"),
    ("cost", "Tokens and speed"),
    ("diversity", "Diversity"),
    ("read", "Reader"),
)


# How many of the internal scores are shown: those that best separate accepted from rejected chunks.
N_MORE_SCORES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    title: str
    caption: str
    svg: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A report, and how many of the run's rows its reader shows."""

    html: str
    n_shown: int
    n_rows: int


def run_report(
    storage: Storage,
    *,
    n_sample: int,
    seed: int,
    find_encoder: Callable[[str], Encoder | None],
    command: str,
    notify: Callable[[str], None] = lambda _: None,
) -> Page:
    """
    Args:
        find_encoder: opens the embedding model of a given name, which links sentences; None falls back to shared words.
        notify: receives a message before each slow step.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: the embedding model cannot be loaded.
    """
    plan = load_plan(storage)
    summary = summarize(storage)
    assert plan is not None  # summarize would have raised
    commits = list(read_commits(storage).values())
    notify(f"counting the rows of {summary.n_parts_committed:,} parts …")
    counted = tally(storage, n_sample, seed)
    locations = counted.sampler.draw()
    recipes = run_recipes(storage, plan.config)
    pairs = add_discrepancies(sorted(read_pairs(storage, locations), key=_corpus_order), recipes)
    encoder = None
    if any(pair.source and pair.rewrite for pair in pairs):
        notify(f"linking the sentences of {len(pairs):,} pairs …")
        encoder = find_encoder(plan.config.get("fidelity", {}).get("encoder", PACKAGED_ENCODER))
    linked = link(pairs, encoder)
    items = [item(pair, links) for pair, links in zip(pairs, linked, strict=True)]
    reasons = {pair.reason for pair in pairs if pair.reason}
    charts, more_charts = _score_charts(counted, Thresholds(plan.config, recipes))
    html = render(
        "run.html.j2",
        title=f"Palimpsest · {_name(summary.output)}",
        sections=SECTIONS,
        command=command,
        name=_name(summary.output),
        complete=summary.complete,
        parts=f"{summary.n_parts_committed:,} of {summary.n_parts:,} parts",
        headline=_headline(summary),
        made_with=_made_with(plan.config, [file.name for file in plan.inputs], commits),
        equation=_equation(summary),
        **_outcomes(summary),
        figures=_figures(summary, counted),
        reasons=_reasons(counted),
        lost_later=_lost_later(summary, counted),
        groups=_groups(counted),
        scores=charts,
        more_scores=more_charts,
        ratios=svg.histogram(counted.ratios, "rewrite tokens / source tokens", [(1.0, "same length")]),
        costs=_costs(summary),
        flow=_flow(summary, counted),
        **_speed(summary, commits),
        diversity=[_diversity_row(row) for row in measure_diversity(storage)],
        diversity_note=f"Measured on at most {N_MEASURED:,} rewrites, spread over the run.",
        sample_note=_sample_note(len(items), counted),
        links_note=_links_note(bool(encoder)),
        pairs_json=Markup(script_json({"pairs": items, "meanings": {name: meaning(name) for name in reasons}})),
    )
    return Page(html=html, n_shown=len(items), n_rows=counted.n_rows)


_QUESTIONS: dict[str, Question] = {f"probability_{question}": question for question in QUESTIONS}


class Thresholds:
    """The score thresholds of a run, by recipe; `recipes` are worded as in the run: small models have others."""

    def __init__(self, config: Mapping[str, Any], recipes: Mapping[str, Recipe]) -> None:
        self._fidelity = config.get("fidelity", {})
        self._recipes = recipes

    def __call__(self, score: str, recipe: str) -> list[svg.Limit]:
        known = self._recipes.get(recipe)
        checks = known.checks if known else ()
        if known and score == "reworded" and Check.NEW_WORDING in checks:
            limit: float | None = known.reworded
        elif known and score == "back_chrf" and known.back_translation:
            limit = known.back_translation.min_chrf or None
        elif score == "similarity":
            limit = self._fidelity.get("min_cross_lingual" if Check.CROSS_LINGUAL in checks else "min_similarity")
        elif score == "probability":
            limit = self._fidelity.get("min_probability") if Check.FACTS in checks else None
        elif (question := _QUESTIONS.get(score)) and Check.FACTS in checks:
            given = self._fidelity.get("min_probability") is not None
            own = known.thresholds.get(question) if known else None
            limit = None if given else own or self._calibrated(question, kind_of(checks))
        else:
            limit = None
        return [] if limit is None else [(limit, f"accepted: ≥ {limit:.2g}")]

    def _calibrated(self, question: Question, kind: Kind) -> float | None:
        """The threshold of a question; None where the calibration file is gone or of another version."""
        try:
            calibration = load_calibration(self._fidelity.get("calibration"))
            if question == "in_style":
                return calibration.in_style.threshold
            return calibration.model(question, kind).threshold
        except (OSError, ValueError, KeyError):
            return None


def _corpus_order(pair: Pair) -> tuple[str, int, int, int]:
    return (
        *(str(pair.details.get("source", "")), pair.details.get("record", 0)),
        *(pair.variant or 0, pair.chunk or 0),
    )


def _name(output: str) -> str:
    return output.rstrip("/").rsplit("/", 1)[-1] or output


def _headline(summary: Summary) -> str:
    n_done = summary.n_accepted + summary.n_rejected
    if not n_done:
        return "Nothing is finished yet: no part of this run has been committed."
    text = (
        f"{summary.n_accepted:,} of {n_done:,} records were accepted, yielding {summary.n_rewrites:,} rewrites with "
        f"{summary.n_tokens:,} tokens."
    )
    if summary.n_chunks:
        text += f" {_share(summary.n_chunks_accepted, summary.n_chunks)} of the chunks passed every check"
        rest = [reason for reason in summary.rejects_by_reason if reason]
        text += f"; the most common reject reason is “{plain(rest[0])}”." if rest else "."
    return text


def _made_with(config: Mapping[str, Any], inputs: Sequence[str], commits: Sequence[Mapping[str, Any]]) -> str:
    files = ", ".join(inputs[:3]) + (f" and {len(inputs) - 3:,} more files" if len(inputs) > 3 else "")
    text = f"{files} · rewritten by {config.get('model', '?')} ({config.get('engine', '?')})"
    if commits:
        start, end = min(commit["started_at"] for commit in commits), max(commit["ended_at"] for commit in commits)
        first, last = (datetime.fromtimestamp(moment, UTC) for moment in (start, end))
        text += (
            f" · {first:%Y-%m-%d %H:%M} to {last:%H:%M} UTC"
            if first.date() == last.date()
            else (f" · {first:%Y-%m-%d} to {last:%Y-%m-%d}")
        )
    return text


def _equation(summary: Summary) -> str:
    return (
        f"{summary.n_read:,} records read = {summary.n_accepted:,} accepted + {summary.n_rejected:,} rejected + "
        f"{summary.n_to_do:,} to do + {summary.n_not_selected:,} not selected"
    )


def _outcomes(summary: Summary) -> dict[str, Any]:
    rows = [
        (Outcome.ACCEPTED, summary.n_accepted, "at least one chunk of one variant passed"),
        (Outcome.REJECTED, summary.n_rejected, ""),
        (Outcome.TO_DO, summary.n_to_do, "run the same command again to continue" if summary.n_to_do else ""),
        (Outcome.NOT_SELECTED, summary.n_not_selected, "beyond --limit" if summary.n_not_selected else ""),
    ]
    total = max(summary.n_read, 1)
    pieces = [(css_class(outcome), count / total) for outcome, count, _ in rows]
    return {
        "outcomes": [(css_class(outcome), str(outcome), f"{count:,}", note) for outcome, count, note in rows],
        "outcome_bar": svg.bar(pieces, _equation(summary)),
    }


def _figures(summary: Summary, counted: Tally) -> list[tuple[str, str, str]]:
    complete = counted.completeness
    unchanged = f", {counted.n_unchanged:,} kept unchanged" if counted.n_unchanged else ""
    idle = f"; {summary.idle_share:.0%} of the engine's slots idle" if summary.idle_share is not None else ""
    return [
        ("rewrites", f"{summary.n_rewrites:,}", f"{_share(complete[True], complete.total())} complete{unchanged}"),
        ("accepted tokens", f"{summary.n_tokens:,}", f"from {counted.n_source_tokens:,} source tokens"),
        (
            "chunks accepted",
            _share(summary.n_chunks_accepted, summary.n_chunks),
            f"{summary.n_chunks_accepted:,} of {summary.n_chunks:,}",
        ),
        ("speed", f"{summary.tokens_per_s:,.0f}", f"generated tokens per second, rejected attempts included{idle}"),
    ]


def _reasons(counted: Tally) -> list[dict[str, Any]]:
    counts: Counter[str] = Counter(counted.records)
    for (_, reason), count in [*counted.chunks.items(), *counted.variants.items()]:
        if reason != ACCEPTED:
            counts[reason] += count
    most = max(counts.values(), default=0)
    return [
        {
            "name": reason,
            "words": plain(reason),
            "meaning": meaning(reason),
            "count": f"{count:,}",
            "bar": svg.bar([("rejected", count / most)], f"{count:,}"),
        }
        for reason, count in counts.most_common()
    ]


def _lost_later(summary: Summary, counted: Tally) -> str:
    kept = sum(count for (_, reason), count in counted.chunks.items() if reason == ACCEPTED)
    lost = summary.n_chunks_accepted - kept
    if lost <= 0:
        return ""
    return (
        f"{lost:,} more chunks were accepted, but their rewrite was not: too little of its document was rewritten, it "
        "duplicates another variant, or a later step of its route failed."
    )


def _groups(counted: Tally) -> list[dict[str, Any]]:
    groups = [("recipe", "By recipe"), ("style", "By style"), ("perspective", "By perspective")]
    found = []
    for column, title in groups:
        accepted: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for (spec, reason), count in counted.chunks.items():
            name = str(getattr(spec, column))
            total[name] += count
            accepted[name] += count if reason == ACCEPTED else 0
        rows = [
            {
                "name": name,
                "accepted": f"{accepted[name]:,}",
                "total": f"{total[name]:,}",
                "share": _share(accepted[name], total[name]),
                "bar": svg.bar(
                    [("accepted", accepted[name] / total[name]), ("rejected", 1 - accepted[name] / total[name])],
                    f"{accepted[name]:,} of {total[name]:,} accepted",
                ),
            }
            for name in sorted(total, key=lambda name: (-accepted[name] / total[name], name))
            if name and total[name]
        ]
        if rows:
            found.append({"column": column, "title": title, "rows": rows, "open": column != "perspective"})
    return found


def _score_charts(counted: Tally, thresholds: Thresholds) -> tuple[list[Chart], list[Chart]]:
    """A chart for each score in `SCORES`, by recipe; then the internal scores that separate best."""
    several = len({recipe for _, recipe in counted.scores}) > 1
    first, more = [], []
    for (score, recipe), found in sorted(counted.scores.items(), key=lambda entry: _rank(entry[0])):
        limits = thresholds(score, recipe)
        chart = Chart(
            title=plain(score).capitalize() + (f", {recipe}" if several else ""),
            caption=SCORES.get(score, "").capitalize(),
            svg=svg.histogram(found, plain(score), limits),
        )
        if limits or score in SCORES:
            first.append(chart)
        elif found.separation is not None:
            more.append((found.separation, chart))
    best = sorted(more, key=lambda entry: -entry[0])[:N_MORE_SCORES]
    return first, [chart for _, chart in best]


def _rank(key: tuple[str, str]) -> tuple[int, str, str]:
    names = list(SCORES)
    return (names.index(key[0]) if key[0] in names else len(names), *key)


def _costs(summary: Summary) -> list[tuple[str, str, str]]:
    kept = max(summary.n_tokens, 1)
    return [
        (
            "tokens generated",
            f"{summary.n_completion_tokens:,}",
            f"{summary.n_completion_tokens / kept:.1f} per accepted token",
        ),
        ("prompt tokens", f"{summary.n_prompt_tokens:,}", cache_note(summary.n_cached_tokens, summary.n_prompt_tokens)),
        *_money(summary),
        ("working time", duration(summary.seconds), "time during which at least one part was in progress"),
        (
            "accepted per second",
            f"{summary.n_tokens / summary.seconds:,.0f}" if summary.seconds else "–",
            "accepted tokens per second of working time",
        ),
    ]


def _money(summary: Summary) -> list[tuple[str, str, str]]:
    if not summary.cost:
        return []
    return [("cost", f"{summary.cost:,.2f}", f"{summary.cost_per_million_tokens:,.2f} per million accepted tokens")]


def _flow(summary: Summary, counted: Tally) -> Markup:
    rows = [
        (
            "prompt",
            summary.n_prompt_tokens,
            [("plain", summary.n_cached_tokens), ("not-selected", summary.n_prompt_tokens - summary.n_cached_tokens)],
        ),
        (
            "generated",
            summary.n_completion_tokens,
            [
                ("accepted", min(summary.n_tokens, summary.n_completion_tokens)),
                ("rejected", max(0, summary.n_completion_tokens - summary.n_tokens)),
            ],
        ),
        ("sources of accepted rewrites", counted.n_source_tokens, [("not-selected", counted.n_source_tokens)]),
        ("accepted", summary.n_tokens, [("accepted", summary.n_tokens)]),
    ]
    most = max([count for _, count, _ in rows] + [1])
    body = Markup("").join(
        Markup('<tr><td>{}</td><td class="n">{}</td><td class="graph">{}</td></tr>').format(
            name, f"{count:,}", svg.bar([(css, n / most) for css, n in pieces], f"{count:,}")
        )
        for name, count, pieces in rows
    )
    table = Markup('<table class="flow"><tbody>{}</tbody></table>').format(body)
    return table + Markup('<p class="about">{}</p>').format(_attempts(counted))


def _attempts(counted: Tally) -> str:
    accepted, rejected = counted.attempts[True], counted.attempts[False]
    if not accepted and not rejected:
        return ""
    first, later = accepted[1], accepted.total() - accepted[1]
    return (
        f"{first:,} chunks were accepted on the first attempt and {later:,} on a later one; {rejected.total():,} were "
        "rejected after all attempts."
    )


def _speed(summary: Summary, commits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = throughput([dict(commit) for commit in commits])
    if not found:
        return {"speed": svg.empty("No part has been committed yet."), "speed_caption": ""}
    unit_s, unit = (3600.0, "hours") if found.bin_s * len(found.tokens_per_s) > 7200 else (60.0, "minutes")
    points = [(i * found.bin_s / unit_s, rate) for i, rate in enumerate(found.tokens_per_s)]
    points.append((len(points) * found.bin_s / unit_s, found.tokens_per_s[-1]))
    chart = svg.line_chart(
        {"tokens/s": points},
        f"working time ({unit})",
        "generated tokens per second",
        steps=True,
        filled=True,
        width=svg.WIDE,
        marks=[pause / unit_s for pause in found.pauses],
    )
    caption = "The tokens of a part are spread evenly over the time it took."
    if found.pauses:
        caption += " Dotted lines mark pauses between sessions."
    return {"speed": chart, "speed_caption": caption}


def _diversity_row(row: RecipeDiversity) -> dict[str, Any]:
    return {
        "recipe": row.recipe.replace("+", " → "),
        "n": f"{row.n_rewrites:,}",
        "openings": [(words, f"{share:.0%}") for words, share in row.openings],
        "distinct_3": f"{row.distinct_3:.0%}",
        "source_overlap": f"{row.source_overlap:.0%}",
        "variant_overlap": _known_share(row.variant_overlap),
        "near_duplicates": f"{row.near_duplicates:.0%}",
    }


def _sample_note(n_shown: int, counted: Tally) -> str:
    if n_shown == counted.n_rows:
        return f"All {n_shown:,} accepted chunks and rejects are shown, each beside its source."
    return (
        f"{n_shown:,} of {counted.n_rows:,} shown: accepted chunks and rejects, sampled evenly across recipes and "
        "reject reasons. The figures above cover all of them."
    )


def _links_note(by_meaning: bool) -> str:
    how = "by an embedding model" if by_meaning else "by shared words, because no embedding model was used"
    return (
        f"Sentences are linked {how}: the small number after a sentence of the rewrite is the number of the source "
        "sentence that says the same. The links are a reading aid; the verdict is shown above the texts."
    )


def _known_share(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"
