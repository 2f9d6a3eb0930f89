"""The files of a certificate."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daystore_compliance.certificate.document import SCHEMA, to_json
from daystore_compliance.certificate.rendering import badge_json, badge_svg, certificate_page

__all__ = ["CertificateError", "file_of", "read_certificate", "write_files"]


class CertificateError(ValueError):
    """A file that is no certificate."""


def file_of(folder: Path, name: str, *, certified: bool) -> Path:
    """Return where the JSON of a run goes: what is not certified never has the name of a certificate."""
    return folder / f"{name}.json" if certified else folder / f"{name}.failed.json"


def write_files(folder: Path, content: Mapping[str, Any], *, certified: bool) -> None:
    """Write a certificate, or what a run without one has found.

    A certificate is JSON, Markdown and a badge in two forms. Where GitHub asks for a summary of the job, the
    Markdown goes there, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = content["name"]
    file_of(folder, name, certified=certified).write_text(to_json(content), encoding="utf-8")
    page = certificate_page(content)
    if certified:
        file_of(folder, name, certified=False).unlink(missing_ok=True)
        (folder / f"{name}.md").write_text(page, encoding="utf-8")
        (folder / f"{name}.svg").write_text(badge_svg(content), encoding="utf-8")
        (folder / f"{name}-badge.json").write_text(badge_json(content), encoding="utf-8")
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(page)


def read_certificate(path: Path) -> dict[str, Any]:
    """Read a certificate.

    Raises:
        CertificateError: If it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CertificateError(f"{path}: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise CertificateError(f"{path}: no certificate of this suite ({SCHEMA})")
    return content
