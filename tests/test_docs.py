"""The pages say what the code does: links, names, tables, and every command line that they show."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import preceptor
from preceptor.catalogue import pages
from preceptor.cli import app, main
from preceptor.training.experiment import Experiment, parse_assignments

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
VERBS = sorted(command.name or "" for command in app.registered_commands)

page_by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def table(text: str, head: str) -> list[list[str]]:
    """Return the cells of the rows of the table whose first heading is ``head``."""
    _, found, rest = text.partition(f"\n| {head} |")
    assert found, head
    rows = []
    for line in rest.splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


# Pages


@page_by_page
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    relative = [target for target in targets if "://" not in target]
    assert [target for target in relative if not (page.parent / target).is_file()] == []


def test_the_map_shows_every_page() -> None:
    index = read("index.md")
    assert [page.name for page in PAGES if page.name != "index.md" and f"({page.name})" not in index] == []


@page_by_page
def test_pages_speak_of_the_project_alone(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"/work\b|\bshared/|/tmp/|/root\b|/home/", text) == []


@page_by_page
def test_lines_and_pages_are_short(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 160
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


# Names


@pytest.mark.parametrize("name", preceptor.__all__)
def test_public_names_are_explained(name: str) -> None:
    assert f"preceptor.{name}`" in TEXT


@pytest.mark.parametrize("verb", VERBS)
def test_verbs_are_explained(verb: str) -> None:
    assert f"`preceptor {verb}" in TEXT
    assert f"$ preceptor {verb}" in TEXT


@pytest.mark.parametrize("name", inspect.signature(preceptor.train).parameters)
def test_arguments_of_train_are_explained(name: str) -> None:
    assert any(f"`{name}`" in row[0] for row in table(read("settings.md"), "`preceptor.train`"))


@pytest.mark.parametrize("verb", VERBS)
def test_options_are_explained(verb: str) -> None:
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    options = [flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")]
    assert [flag for flag in options if flag != "--help" and flag not in TEXT] == []


def test_exceptions_are_explained() -> None:
    rows = {row[0].strip("`"): row[1].strip("`") for row in table(read("errors.md"), "exception")}
    classes = [getattr(preceptor.errors, name) for name in preceptor.errors.__all__]
    exceptions = [c for c in classes if isinstance(c, type)]
    assert set(rows) == {c.__name__ for c in exceptions}
    for exception in exceptions:
        other = exception.__bases__[-1]
        assert rows[exception.__name__] == (
            "–" if other is preceptor.errors.PreceptorError else other.__name__
        )


# Tables


def test_settings_are_those_of_the_code() -> None:
    rows = {row[0].strip("`"): row[1:] for row in table(read("settings.md"), "setting")}
    flat = Experiment().flat()
    assert list(rows) == list(flat)
    written = {key: parse_assignments([f"v={default.strip('`')}"])["v"] for key, (default, _) in rows.items()}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in flat.items()}
    assert {key: None if value == "none" else value for key, value in written.items()} == plain


@pytest.mark.parametrize("key", Experiment().flat())
def test_meanings_are_those_of_the_code(key: str) -> None:
    holder: Any = Experiment
    *path, last = key.split(".")
    for part in path:
        holder = holder.model_fields[part].annotation
    field = holder.model_fields[last]
    meaning = next(row[2] for row in table(read("settings.md"), "setting") if row[0] == f"`{key}`")
    assert meaning.startswith((field.description or "").partition(";")[0])
    for choice in _choices(field.annotation):
        assert choice in meaning or choice == "auto" == Experiment().flat()[key]


def _choices(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is typing.Literal:
        return [str(choice) for choice in typing.get_args(annotation)]
    return [choice for inner in typing.get_args(annotation) for choice in _choices(inner)]


WRITE = "python -m preceptor.catalogue.pages docs"


@pytest.mark.slow
@pytest.mark.parametrize("place", pages.pages())
def test_the_catalogue_is_that_of_the_code(place: str) -> None:
    assert (DOCS / place).is_file(), WRITE
    assert read(place) == pages.pages()[place], WRITE


def test_the_guide_lists_every_kind() -> None:
    assert read("catalogue.md").endswith(f"\n{pages.kinds_table()}"), WRITE
    written = {f"catalogue/{page.name}" for page in (DOCS / "catalogue").glob("*.md")}
    assert written == set(pages.pages()), WRITE


# Command lines


@pytest.mark.slow
@page_by_page
def test_commands_do_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(DOCS / "samples", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for command, shown in commands(page.read_text(encoding="utf-8")):
        arguments = shlex.split(command.partition("   (")[0].partition(" > ")[0])
        capsys.readouterr()
        code = _apart(arguments) if arguments[1] == "run" else _run(arguments[1:])
        printed = capsys.readouterr()
        assert code == _expected_code(shown), f"{command}: {printed.err}"
        _assert_shown(shown, (printed.out + printed.err).splitlines(), command)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return each ``$ preceptor …`` with the lines that the page shows below it."""
    found: list[tuple[str, list[str]]] = []
    open_ = False
    for line in text.splitlines():
        if line.strip().startswith("$ preceptor "):
            found.append((line.strip()[2:], []))
            open_ = True
        elif not line.strip():
            open_ = False
        elif open_:
            found[-1][1].append(line.strip())
    return found


def _run(arguments: list[str]) -> int:
    try:
        return int(main(arguments) or 0)
    except SystemExit as stop:
        return int(stop.code or 0)


def _apart(arguments: list[str]) -> int:
    """A watched program has a process of its own."""
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr)
    return done.returncode


def _expected_code(shown: list[str]) -> int:
    first = shown[0] if shown else ""
    return 2 if first.startswith("error:") else 1 if first.startswith("diverged") else 0


def _assert_shown(shown: list[str], printed: list[str], command: str) -> None:
    """The lines shown were printed in that order, numbers aside; ``...`` stands for any lines."""
    left = iter(_shape(line) for line in printed)
    for line in shown:
        assert line == "..." or _shape(line) in left, f"{command}: {line!r} is not in\n" + "\n".join(printed)


def _shape(line: str) -> str:
    return " ".join(re.sub(r"-?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?", "#", line).split())


# Docstrings


def _modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.walk_packages(preceptor.__path__, "preceptor.")]
    return [preceptor, *(importlib.import_module(name) for name in names)]


def _is_undocumented(thing: object) -> bool:
    if isinstance(thing, type):
        own = vars(thing).get("__doc__") or ""
        return not own.strip() or own.startswith(f"{thing.__name__}(")  # what a dataclass writes by itself
    return (inspect.isroutine(thing) or inspect.ismodule(thing)) and not (inspect.getdoc(thing) or "").strip()


def _members(thing: type) -> list[tuple[str, object]]:
    found = [(name, value) for name, value in vars(thing).items() if not name.startswith("_")]
    callables = [
        (name, getattr(value, "__func__", value))
        for name, value in found
        if inspect.isroutine(value) or isinstance(value, classmethod | staticmethod)
    ]
    return callables + [(name, value.fget) for name, value in found if isinstance(value, property)]


@pytest.mark.parametrize("module", _modules(), ids=lambda module: module.__name__)
def test_public_names_have_docstrings(module: ModuleType) -> None:
    assert (module.__doc__ or "").strip()
    public = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    bare = [name for name, thing in public.items() if _is_undocumented(thing)]
    bare += [
        f"{name}.{member}"
        for name, thing in public.items()
        if isinstance(thing, type) and not name.startswith("_")
        for member, value in _members(thing)
        if inspect.isroutine(value) and not inspect.getdoc(getattr(thing, member))
    ]
    assert bare == []
