"""The certificate for people: Markdown, a badge, and the matrix of several backends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from daystore_compliance.certificate.profiles import PROFILES
from daystore_compliance.certificate.verdict import Tally

__all__ = ["badge_json", "badge_svg", "certificate_page", "differences", "matrix", "summary"]

_GREEN: Final = "#2e7d32"
_YELLOW: Final = "#8a6d00"
_RED: Final = "#b71c1c"
_CHARACTER: Final = 6.6


def _mark(tally: Mapping[str, int]) -> str:
    return "✔" if Tally.from_dict(tally).is_certified else "–"


def _score(tally: Mapping[str, int]) -> str:
    return f"{_mark(tally)} {tally['passed']}/{tally['total']}"


def _profiles(certificate: Mapping[str, Any]) -> list[tuple[str, Mapping[str, int]]]:
    """Return the profiles in their own order; a certificate has its entries in that of their names."""
    return [(name, certificate["profiles"][name]) for name in PROFILES if name in certificate["profiles"]]


def summary(certificate: Mapping[str, Any]) -> str:
    """Say in one line what a backend is certified for, every profile with its count."""
    scores = [f"{name} {_score(tally)}" for name, tally in _profiles(certificate)]
    return f"{certificate['name']}: {certificate['verdict']} ({', '.join(scores)})"


def certificate_page(certificate: Mapping[str, Any]) -> str:
    """Write a certificate as Markdown."""
    adapter, contract, suite = certificate["adapter"], certificate["contract"], certificate["suite"]
    service = ", ".join(f"{name} {value}" for name, value in sorted(certificate["service"].items()))
    lines = [
        f"# {certificate['name']}: {certificate['verdict']}",
        "",
        (
            f"Contract {contract['version']}, level {certificate['level']}, seed {certificate['seed']}, "
            f"{certificate['finished'][:10]}."
        ),
        "",
        "| | |",
        "| --- | --- |",
        f"| adapter | {adapter['distribution']} {adapter.get('version', '')} |",
        f"| service | {service} |",
        f"| suite | {suite['distribution']} {suite['version']}, {suite['mutants_killed']} mutants killed |",
        f"| Python | {certificate['env']['python']}, {certificate['env']['system']} |",
        f"| declares | {', '.join(certificate['capabilities']) or 'nothing beyond reading and writing'} |",
        f"| consistency | {', '.join(certificate['consistency'])} |",
        "",
        "| profile | | passed | failed | waived | not testable | undeclared | total |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, tally in _profiles(certificate):
        counts = [tally[key] for key in ("passed", "failed", "waived", "not_testable", "undeclared", "total")]
        lines.append(f"| {name} | {_mark(tally)} | {' | '.join(map(str, counts))} |")
    lines += _section("Why there is no certificate", certificate["reasons"])
    lines += _section("Not certified for", certificate["gaps"])
    lines += _section("Remarks", certificate["remarks"])
    waived = [
        f"{w['case']}: {w['reason']} ({w['issue']}, until {w['expires']})" for w in certificate["waivers"]
    ]
    lines += _section("Waived", waived)
    lines += _section("Not scored", certificate["not_scored"])
    lines += ["", "## Reproduce", "", "```sh", certificate["reproduce"], "```"]
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *(f"- {line}" for line in lines)] if lines else []


def _badge(certificate: Mapping[str, Any]) -> tuple[str, str, str]:
    label = f"daystore {certificate['contract']['version']}"
    if certificate["verdict"] == "not certified":
        return label, "not certified", _RED
    waived = certificate["verdict"] == "certified with waivers"
    text = "+".join(certificate["certified"]) or "nothing"
    return label, f"{text} (waivers)" if waived else text, _YELLOW if waived else _GREEN


def badge_json(certificate: Mapping[str, Any]) -> str:
    """Write the badge as the endpoint format of shields.io has it."""
    label, message, color = _badge(certificate)
    content = {"schemaVersion": 1, "label": label, "message": message, "color": color}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def badge_svg(certificate: Mapping[str, Any]) -> str:
    """Draw the badge."""
    label, message, color = _badge(certificate)
    left, right = (round(len(text) * _CHARACTER + 12) for text in (label, message))
    title = escape(f"{label}: {message}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{title}"><title>{title}</title>'
        f'<rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{color}"/>'
        '<g fill="#fff" font-family="Verdana,Geneva,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14">{escape(label)}</text>'
        f'<text x="{left + right / 2:g}" y="14">{escape(message)}</text></g></svg>\n'
    )


def matrix(certificates: Sequence[Mapping[str, Any]]) -> str:
    """Write the table of several backends: a row each, with what each profile's cases said."""
    names = list(PROFILES)
    lines = [
        f"| backend | service | {' | '.join(names)} | verdict |",
        f"| --- | --- |{' ---: |' * len(names)} --- |",
    ]
    for one in certificates:
        tallies = one["profiles"]
        cells = [_score(tallies[name]) if name in tallies else "–" for name in names]
        lines.append(
            f"| {one['name']} | {one['service']['kind']} | {' | '.join(cells)} | "
            f"{one['verdict']}, contract {one['contract']['version']}, {one['level']} |"
        )
    return "\n".join(lines) + "\n"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say what has changed from one certificate to another, worst first."""
    before, after = ({case["id"]: case["outcome"] for case in one["cases"]} for one in (old, new))
    told = [f"verdict: {old['verdict']} → {new['verdict']}"] if old["verdict"] != new["verdict"] else []
    for what in ("contract", "adapter", "suite", "service"):
        told += [
            f"{what} {key}: {old[what].get(key)} → {new[what].get(key)}"
            for key in sorted({*old[what], *new[what]} - {"record_sha256", "requirements_sha256"})
            if old[what].get(key) != new[what].get(key)
        ]
    told += [f"no longer declared: {name}" for name in old["capabilities"] if name not in new["capabilities"]]
    told += [f"newly declared: {name}" for name in new["capabilities"] if name not in old["capabilities"]]
    changed = [case_id for case_id in before if case_id in after and before[case_id] != after[case_id]]
    changed.sort(key=lambda case_id: (after[case_id] != "failed", case_id))
    told += [f"{case_id}: {before[case_id]} → {after[case_id]}" for case_id in changed]
    gone = sorted(before.keys() - after)
    told += [f"{case_id}: not there any more (was {before[case_id]})" for case_id in gone]
    told += [f"{case_id}: new, {after[case_id]}" for case_id in sorted(after.keys() - before)]
    return told
