"""What the report may know beside the figures."""

from __future__ import annotations

from typing import Any

from tsunagari.intake.review import compare_codebooks
from tsunagari.statistics.benchmark import read_benchmark
from tsunagari.study.files import read_table
from tsunagari.study.survey import Study
from tsunagari.tables import tabulated_items

# --- what the report may know beside the figures --------------------------------------------------


def describe_study(study: Study) -> dict[str, Any]:
    """Return the texts and labels that a report needs and that hold nothing about a person.

    Args:
        study: The wave.

    Returns:
        What published/about.json holds; docs/data_dictionary.md lists the keys.
    """
    config, wave = study.config, study.wave
    described = {
        "study": study.name,
        "year": study.year,
        "title": config.title,
        "area": config.area,
        "area_code": _area_code(study),
        "people": config.people,
        "is_synthetic": bool(study.synthetic_inputs),
        "synthetic_inputs": study.synthetic_inputs,
        "has_survey": study.has_survey,
        "texts": study.texts,
        "english": study.english,
        "marks": config.marks.model_dump(),
        "disclosure": config.disclosure.model_dump(),
        "notes": list(config.notes),
        "publication": wave.publication.model_dump(),
        "min_cell_n": config.disclosure.base_minimum,
    }
    if not study.has_survey:
        return described
    return described | {
        "fieldwork": wave.fieldwork,
        "mode": config.design.mode,
        "population_date": wave.population_date,
        "population_note": wave.population_note,
        "weighting_label": config.weighting.label,
        "region": config.design.region,
        "regions": [region.label for region in config.regions.values()],
        "variables": _describe_variables(study),
        "indicators": _describe_indicators(study),
        "base": config.tables.base,
        "axes": study.axes,
        "crosses": list(config.tables.crosses),
        "benchmark": _describe_benchmark(study),
        "report": config.report.model_dump(),
        "voices": _describe_voices(study),
        "joint": [list(pair) for pair in config.tables.joint],
        "linked": _describe_links(study),
        "error_note": config.design.error_note,
    }


def _area_code(study: Study) -> str:
    """Return the prefecture's code, such as 38000, where the study lists its municipalities."""
    places = study.raw_dir / "population_municipalities.csv"
    codes = read_table(places)["municipality_code"] if places.exists() else ()
    return next((f"{code[:2]}000" for code in codes), "")


def _describe_variables(study: Study) -> dict[str, Any]:
    roles: dict[str, dict[str, str]] = {}
    codes = study.codebook.codes[study.codebook.codes["role"] != "answer"]
    for item, code, role in zip(codes["item"], codes["code"], codes["role"], strict=True):
        roles.setdefault(item, {})[code] = role
    return {
        name: {
            "label": item.label,
            "short_label": item.short_label,
            "kind": item.kind,
            "values": dict(item.labels),
            "nets": {net: list(codes) for net, (_, codes) in item.nets.items()},
            "roles": roles.get(name, {}),
        }
        for name, item in study.items.items()
    }


def _describe_indicators(study: Study) -> dict[str, Any]:
    described = {}
    for name, indicator in study.config.indicators.items():
        item = study.items[indicator.item]
        answers = "・".join(f"「{item.labels[code]}」" for code in indicator.codes)
        described[name] = {
            "label": indicator.label,
            "short_label": indicator.short_label or indicator.label,
            "definition": f"{item.label}：{answers}",
            "base": indicator.base,
            "item": indicator.item,
            "item_values": list(indicator.codes),
        }
    return described


def _describe_benchmark(study: Study) -> dict[str, Any] | None:
    benchmark = study.config.benchmark
    if benchmark is None:
        return None
    return {
        "label": benchmark.label,
        "year": study.wave.benchmark_year,
        "caveat": benchmark.caveat,
        "not_compared": list(read_benchmark(study).not_compared),
    }


def _describe_links(study: Study) -> dict[str, list[str]] | None:
    """Return why a tabulated question is not, or in part, linked to the wave before; None without.

    A reason is a change of `review.compare_codebooks`, or not_planned.
    """
    if study.previous is None:
        return None
    changes = compare_codebooks(study, study.previous)
    cut = changes[changes["comparable"].eq(False)].groupby("item")["change"].agg(list).to_dict()
    planned = study.config.tables.crosses
    return {
        item.name: [*cut.get(item.name, ()), *["not_planned"] * (item.name not in planned)]
        for item in tabulated_items(study)
        if item.kind != "derived" or item.name in planned
    }


def _describe_voices(study: Study) -> dict[str, Any] | None:
    """Return the questions on troubles and ways out, their themes, and the axes of both."""
    plan = study.config.themes
    if plan is None:
        return None
    questions = [question.options for question in plan.questions.values()]
    return {
        "questions": questions,
        "themes": list(plan.questions),
        "region": study.config.design.region,
        "compared": plan.compared,
        "ever": plan.ever.item if plan.ever else None,
    }
