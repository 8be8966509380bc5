"""What ``preceptor serve`` does: pages about runs, for this machine alone, that change nothing."""

from __future__ import annotations

import hashlib
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Lock, Timer
from urllib.parse import unquote, urlsplit

from preceptor.errors import ConfigError, PreceptorError
from preceptor.files import similar
from preceptor.report._page import template
from preceptor.report.live import find_run, list_page, look_at, run_page

__all__ = ["Server", "serve_until"]

HOST = "127.0.0.1"
_TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_FROM = re.compile(r"/from/\d{1,9}")
_DRAWING = Lock()  # matplotlib's settings belong to the whole process


class Server(ThreadingHTTPServer):
    """Serves the runs of a folder on 127.0.0.1.

    Arguments:
        folder: of runs, or of one run.
        port: 0 for any that is free.

    Raises:
        ConfigError: there is no such folder, or the port is taken.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        if not folder.is_dir():
            raise ConfigError(
                f"there is no folder {folder}",
                expected="a folder of runs, such as runs",
                received=str(folder),
                hint=similar(folder) or "preceptor train digits makes one",
            )
        self.folder = folder
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"port {port} cannot be used",
                expected="a free port between 1024 and 65535, or 0 for any",
                received=str(error),
                hint="--port 0",
            ) from error

    @property
    def address(self) -> str:
        """The address of the list."""
        return f"http://{HOST}:{self.server_port}/"

    def trusts(self, host: str) -> bool:
        """Say whether a request names this machine: another name may be a web page's trick to read along."""
        return host in {f"{name}:{self.server_port}" for name in (HOST, "localhost")}


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; all else is not implemented, and nothing is ever written."""

    server: Server
    server_version, sys_version = "preceptor", ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Keep silent: the terminal is the user's."""

    def _answer(self) -> None:
        if not self.server.trusts(self.headers.get("Host", "")):
            self._send(HTTPStatus.FORBIDDEN, "html", "<p>This server is for this machine alone.</p>")
            return
        try:
            kind, content = self._content(unquote(urlsplit(self.path).path))
        except (PreceptorError, OSError, ValueError, KeyError) as error:
            text = template("gone.html.j2").render(text=str(error))
            self._send(HTTPStatus.NOT_FOUND, "html", text)
            return
        self._send(HTTPStatus.OK, kind, content)

    def _content(self, path: str) -> tuple[str, str]:
        """Return the kind and the text of what lies at a path.

        A run is looked up among those that are there: no path of the request ever reaches the disk.
        """
        if path == "/" or _FROM.fullmatch(path):
            with _DRAWING:
                start = int(path.removeprefix("/from/").strip("/") or 0)
                return "html", list_page(self.server.folder, start=start)
        if path == "/follow.js":
            script = files("preceptor.report") / "templates" / "follow.js"
            return "js", script.read_text(encoding="utf-8")
        name = path.removeprefix("/run/")
        if name == path or not path.startswith("/run/"):
            raise ConfigError("there is nothing at this address", expected="/, or /run/NAME", received=path)
        if name.endswith("/report"):
            run = find_run(self.server.folder, name.removesuffix("/report"))
            if run is not None:
                return "html", _report(run)
        run = find_run(self.server.folder, name)
        if run is None:
            raise ConfigError("there is no such run", expected="one of those that / lists", received=name)
        with _DRAWING:
            return "html", run_page(look_at(name, run))

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        if status == HTTPStatus.OK and self.headers.get("If-None-Match") == tag:
            status, content = HTTPStatus.NOT_MODIFIED, b""
        self.send_response(status)
        own = template("live.html.j2").environment.globals["script_hash"]
        policy = (
            f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'self' '{own}'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        for name, value in (
            ("Content-Type", _TYPES[kind]),
            ("Content-Length", str(len(content))),
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("ETag", tag),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _report(folder: Path) -> str:
    path = folder / "report.html"
    if path.is_symlink():
        raise ConfigError("the report is a link", expected="a file", received=str(path))
    return path.read_text(encoding="utf-8")


def serve_until(server: Server, seconds: float | None) -> None:
    """Serve until Ctrl-C, or for some seconds."""
    with server:
        if seconds == 0:
            return
        if seconds is not None:
            timer = Timer(seconds, server.shutdown)
            timer.daemon = True
            timer.start()
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return
