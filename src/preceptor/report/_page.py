"""What every page is made with: templates that escape what they show, and a write that is whole or not."""

from __future__ import annotations

import base64
import hashlib
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preceptor.errors import StorageError
from preceptor.report._format import clean

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["SIZE_LIMIT", "save", "template"]

SIZE_LIMIT = 1_000_000
"""Bytes that a page stays below."""


@cache
def template(name: str) -> Template:
    """Return a template of this package."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def printable(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else clean(value)

    script = files("preceptor.report").joinpath("templates/report.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("preceptor.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The page's policy lets this one script run, and no other: whatever a user's text may hold stays text.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {"script": Markup(script), "script_hash": f"sha256-{digest}"}  # noqa: S704  (ours)
    return environment.get_template(name)


def save(page: str, path: str | os.PathLike[str]) -> Path:
    """Write a page to ``path``, whole or not at all, and return where it is.

    Raises:
        StorageError: the file cannot be written.
    """
    from preceptor.files import write_text

    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}",
            expected="a path whose folder exists or can be made",
            received=error.strerror or str(error),
            hint="give another path",
        ) from error
    write_text(target, page)
    return target
