"""A foreign program, run and watched in this process exactly as ``python script.py`` would run it.

Torch is not imported here: a script may set environment variables before it does so, or never do it.
"""

from __future__ import annotations

import builtins
import functools
import importlib.machinery
import importlib.util
import io
import os
import pkgutil
import runpy
import sys
import threading
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from preceptor.errors import ConfigError, nearest
from preceptor.observation._arrival import Arrival
from preceptor.observation._tracebacks import hide_frames, is_ours, outermost, without_our_frames

__all__ = ["Outcome", "run_module", "run_script"]

INTERRUPTED = 130  # what a shell makes of a program that Ctrl-C ended
_RUNPY = runpy.run_module.__code__.co_filename

Load = Callable[[types.ModuleType], types.CodeType]


@dataclass
class Outcome:
    """How a program ended, and the watch that saw it: None if it never imported torch.

    Attributes:
        code: its exit code; 130 after an interrupt, which Python answers by ending itself with that signal.
        error: what nobody caught. It has been shown on stderr already.
        watch: stopped, unless ``running``.
        notes: why there is no watch.
        running: threads of the program go on, and so does the watch until `end` is called: Python waits for
            such threads before it exits, so the place to call it is a function registered with `atexit`.
    """

    code: int = 0
    error: BaseException | None = None
    watch: Any = None
    notes: list[str] = field(default_factory=list)
    running: bool = True
    _undo: list[Callable[[], None]] = field(default_factory=list, repr=False)
    _process: int = field(default_factory=os.getpid, repr=False)

    def end(self) -> None:
        """Stop the watch and restore what was replaced; a second call does nothing."""
        self.running = False
        undo, self._undo = self._undo, []
        if self._process != os.getpid():  # a child that the program forked: the watch is its parent's
            return
        if undo and self.watch is not None:
            try:
                self.watch.stop()
            except Exception as error:  # noqa: BLE001 the program never sees our errors
                self.notes.append(f"the watch could not stop: {type(error).__name__}: {error}")
        for step in undo:
            step()
        if undo and self.watch is None and not self.notes:
            imported = "torch" in sys.modules
            self.notes.append(
                "torch was imported in a way that cannot be followed"
                if imported
                else "the script never imported torch"
            )


def run_script(path: str | os.PathLike[str], args: Sequence[str], watch: Callable[[], Any]) -> Outcome:
    """Run a Python file, or a folder or zip archive with a ``__main__.py``, and watch it once it has torch.

    Meant for a process of its own: ``__main__``, ``sys.argv`` and ``sys.path`` stay the program's, for its
    threads and `atexit` functions. What nobody caught has been shown as Python shows it. A program that ends
    by ``os._exit``, ``os.exec*`` or a signal takes this process with it: nothing follows then.

    Arguments:
        path: as the user gave it; ``sys.argv[0]`` shows it so.
        args: what follows it in ``sys.argv``.
        watch: makes the watch, which has ``start()`` and ``stop()``; called when torch has been imported.

    Raises:
        ConfigError: there is no such program; nothing has run.

    Example:
        >>> run_script("trian.py", [], watch=lambda: None)
        Traceback (most recent call last):
        preceptor.errors.ConfigError: there is no script trian.py
          expected  a Python file, or a folder or zip archive with a __main__.py
          received  No such file or directory
          try       preceptor run train.py; for a module: preceptor run -m package.module
    """
    given = os.fspath(path)
    full = given if os.path.isabs(given) else f"{os.getcwd()}{os.sep}{given}"  # noqa: PTH109, PTH117 as Python does
    if pkgutil.get_importer(full) is not None:
        _enter([given, *args], full, insist=True)
        return _run(functools.partial(_load_package, full), watch)
    source = _read(full, given)
    _enter([given, *args], os.path.dirname(os.path.realpath(full)))  # noqa: PTH120 - as the interpreter itself does it
    return _run(functools.partial(_load_file, full, source), watch)


def run_module(name: str, args: Sequence[str], watch: Callable[[], Any]) -> Outcome:
    """Run a module as ``python -m name`` does; for the rest see `run_script`.

    Raises:
        ConfigError: there is no such module; at most the packages that would hold it have been imported.
    """
    _enter(["-m", *args], os.getcwd())  # noqa: PTH109 - as the interpreter itself does it
    return _run(functools.partial(_load_module, name), watch)


def _enter(argv: list[str], folder: str, *, insist: bool = False) -> None:
    """Set the arguments, and the folder that imports begin in: in the place of our own program's."""
    sys.argv = argv
    if not getattr(sys.flags, "safe_path", sys.flags.isolated):
        sys.path[:1] = [folder]
    elif insist:
        sys.path.insert(0, folder)


def _read(full: str, given: str) -> bytes:
    try:
        with io.open_code(full) as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"there is no script {given}" if isinstance(error, FileNotFoundError) else f"cannot read {given}",
            expected="a Python file, or a folder or zip archive with a __main__.py",
            received=getattr(error, "strerror", None) or str(error),
            hint=f"preceptor run {_similar(full, given)}; for a module: preceptor run -m package.module",
        ) from error


def _similar(full: str, given: str) -> str:
    folder, name = os.path.split(full)
    try:
        there = [entry for entry in os.listdir(folder) if entry.endswith(".py")]  # noqa: PTH208 - as the interpreter itself does it
    except OSError:
        there = []
    close = nearest(name, there, 1)
    return os.path.join(os.path.dirname(given), close[0] if close else "train.py")  # noqa: PTH118, PTH120 - as the interpreter itself does it


class _NoModuleError(ConfigError):
    """The module, or the ``__main__.py`` of a folder, that was asked for does not exist."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "there is no such module to run",
            expected="a module, or a package with a __main__.py, as it would be imported from this folder",
            received=reason,
            hint="preceptor run -m package.module; a file goes without -m: preceptor run train.py",
        )


def _load_file(full: str, source: bytes, main: types.ModuleType) -> types.CodeType:
    loader: Any = importlib.machinery.SourceFileLoader("__main__", full)
    if full.endswith(".pyc"):
        loader = importlib.machinery.SourcelessFileLoader("__main__", full)
    main.__dict__.update(__loader__=loader, __file__=full, __cached__=None)
    if full.endswith(".pyc"):
        code: types.CodeType = loader.get_code("__main__")
        return code
    return compile(source, full, "exec", dont_inherit=True)


# The two functions of `runpy` that Python itself calls for -m and for folders: what they warn of, and which
# packages they import first, is then the same.
def _load_module(name: str, main: types.ModuleType) -> types.CodeType:
    _, spec, code = runpy._get_module_details(name, _NoModuleError)  # type: ignore[attr-defined]  # what python -m itself calls
    sys.argv[0] = spec.origin
    return _as_main(spec, code, main)


def _load_package(full: str, main: types.ModuleType) -> types.CodeType:
    _, spec, code = runpy._get_main_module_details(_NoModuleError)  # type: ignore[attr-defined]  # what python -m itself calls
    return _as_main(spec, code, main)


def _as_main(spec: Any, code: types.CodeType, main: types.ModuleType) -> types.CodeType:
    main.__dict__.update(
        __loader__=spec.loader,
        __package__=spec.parent,
        __spec__=spec,
        __file__=spec.origin,
        __cached__=spec.cached,
    )
    return code


def _run(load: Load, factory: Callable[[], Any]) -> Outcome:
    outcome = Outcome()
    outcome._undo.append(hide_frames())
    attach = functools.partial(_attach, outcome, factory)
    if "torch" in sys.modules:
        attach()
    else:
        outcome._undo.append(Arrival("torch", attach).remove)
    ended: BaseException | None = None
    try:
        _execute(load, _fresh_main())
    except _NoModuleError:
        outcome.end()
        raise
    except BaseException as error:  # noqa: BLE001 whatever the program raised
        ended = error
    # Outside of the handler: a hook of the program's own sees no exception being handled, as it never does.
    if isinstance(ended, SystemExit):
        outcome.code = _exit_code(ended)
    elif ended is not None:
        outcome.error, outcome.code = ended, _show(ended)
    if not _threads_left():
        outcome.end()
    return outcome


@outermost
def _execute(load: Load, main: types.ModuleType) -> None:
    exec(load(main), main.__dict__)  # noqa: S102 the user's own program


def _fresh_main() -> types.ModuleType:
    main = types.ModuleType("__main__")
    if sys.version_info < (3, 14):
        main.__dict__.update(__annotations__={})
    main.__dict__.update(__builtins__=builtins)
    sys.modules["__main__"] = main
    return main


def _attach(outcome: Outcome, factory: Callable[[], Any]) -> None:
    try:
        watch = factory()
        watch.start()
        outcome.watch = watch
    except Exception as error:  # noqa: BLE001 the program goes on unwatched
        outcome.notes.append(f"the watch could not start: {type(error).__name__}: {error}")


def _threads_left() -> bool:
    others = (thread for thread in threading.enumerate() if thread is not threading.current_thread())
    return any(thread.is_alive() and not thread.daemon for thread in others)


def _exit_code(exit_: SystemExit) -> int:
    code = getattr(exit_, "code", None)
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> int:
    """Show an exception as Python shows what nobody caught, and return the exit code."""
    _from_the_program_on(error)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    failed: BaseException | None = None
    try:
        hook = sys.excepthook
    except AttributeError:
        print("sys.excepthook is missing", file=sys.stderr)
        hook = sys.__excepthook__
    try:
        hook(type(error), error, error.__traceback__)
    except BaseException as raised:  # noqa: BLE001 as Python does
        failed = raised
    if isinstance(failed, SystemExit):
        return _exit_code(failed)
    if failed is not None:
        print("Error in sys.excepthook:", file=sys.stderr)
        _display(_from_the_program_on(failed))
        print("\nOriginal exception was:", file=sys.stderr)
        _display(error)
    return INTERRUPTED if type(error) is KeyboardInterrupt else 1


def _display(error: BaseException) -> None:
    sys.__excepthook__(type(error), error, error.__traceback__)


def _from_the_program_on(error: BaseException) -> BaseException:
    tb = error.__traceback__
    while tb is not None and (is_ours(tb.tb_frame.f_code) or tb.tb_frame.f_code.co_filename == _RUNPY):
        tb = tb.tb_next
    return without_our_frames(BaseException.with_traceback(error, tb))
