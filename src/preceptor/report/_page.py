"""What every page is made with: templates that escape what they show, and a write that is whole or not."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preceptor.errors import StorageError
from preceptor.report._format import clean

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["save", "template"]


@cache
def template(name: str) -> Template:
    """Return a template of this package."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def printable(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else clean(value)

    environment = Environment(
        loader=PackageLoader("preceptor.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
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
