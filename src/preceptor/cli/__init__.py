"""The command line: one file a verb. Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from preceptor.cli import (
    _audit,
    _catalogue,
    _check,
    _compare,
    _cross_validate,
    _diagnose,
    _eject,
    _env,
    _evaluate,
    _export,
    _generate,
    _lab,
    _look,
    _lr,
    _neighbours,
    _predict,
    _processes,
    _run,
    _sample,
    _search,
    _serve,
    _summary,
    _train,
    _translate,
)
from preceptor.errors import OutOfMemory, PreceptorError

__all__ = ["app", "main"]

app = typer.Typer(
    name="preceptor",
    help="Train neural networks on PyTorch, by name or from your own code, and see what happened.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(_train.train)
app.command("audit")(_audit.audit)
app.command("check")(_check.check)
app.command("run", context_settings=_run.SETTINGS)(_run.run)
app.command("diagnose")(_diagnose.diagnose)
app.command("evaluate")(_evaluate.evaluate)
app.command("predict")(_predict.predict)
app.command("generate")(_generate.generate)
app.command("sample")(_sample.sample)
app.command("translate")(_translate.translate)
app.command("neighbours")(_neighbours.neighbours)
app.command("compare")(_compare.compare)
app.command("search")(_search.search)
app.command("cross-validate")(_cross_validate.cross_validate)
app.command("lr")(_lr.lr)
app.command("lab")(_lab.lab)
app.command("look")(_look.look)
app.command("summary")(_summary.summary)
app.command("serve")(_serve.serve)
app.command("eject")(_eject.eject)
app.command("export")(_export.export)
app.command("catalogue")(_catalogue.catalogue)
app.command("env")(_env.env)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; an error of ours is one message and exit code 2."""
    chosen = _shielded(lambda: _parse(arguments))
    return _shielded(chosen.perform) if isinstance(chosen, _run.Handover) else chosen


def _parse(arguments: list[str] | None) -> Any:
    try:
        return app(args=arguments)
    except _run.Handover as handover:
        return handover


def _shielded(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except PreceptorError as error:
        _fail(error)
    except (MemoryError, RuntimeError) as error:
        if not importlib.import_module("preceptor.training.own_code").is_out_of_memory(error):
            raise
        _fail(
            OutOfMemory(
                "out of memory",
                expected="what fits into memory",
                received=str(error).partition("\n")[0] or "MemoryError",
            )
        )


def _fail(error: PreceptorError) -> NoReturn:
    if not _processes.is_told(error):
        sys.exit(2)
    console = importlib.import_module("rich.console").Console(stderr=True)
    importlib.import_module("preceptor.report.terminal").show_error(error, console)
    sys.exit(2)
