"""`preceptor serve`: pages of runs, for this machine alone, which follow and change nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import quote

import pytest

import preceptor
from preceptor.cli._serving import Server
from preceptor.diagnosis.finding import Finding
from preceptor.errors import ConfigError
from preceptor.report.live import find_runs, list_page, look_at, run_page
from preceptor.run import _keeping
from preceptor.seals import sealed
from preceptor.training import State

from .conftest import Cli


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is over, the same as it looked in training, a damaged one, and a secret."""
    place = tmp_path_factory.mktemp("serve")
    folder = place / "runs"
    run = preceptor.train(
        data="iris", epochs=3, out=folder / "a <b>&1", name="<i>x", settings={"training.watch": False}
    )
    run.test()
    (folder / "a <b>&1" / "report.html").write_text("<p>the report</p>")
    (place / "secret.txt").write_text("secret")
    training = folder / "live-1"
    for name in ("experiment.toml", "history.csv", "manifest.json"):
        training.mkdir(exist_ok=True)
        (training / name).write_bytes((folder / "a <b>&1" / name).read_bytes())
    manifest = json.loads((training / "manifest.json").read_text())
    (training / "manifest.json").write_text(
        json.dumps(sealed({**manifest, "status": "running", "best_epoch": None, "ledger": []}))
    )
    (training / "state").mkdir()
    facts = {"epoch": 4, "epochs": 10, "batch": 2, "batches": 4}
    facts |= {"batches_per_second": 50, "seconds_left": 75}
    (training / "state" / "progress.json").write_text(json.dumps(facts))
    bad = Finding("overfitting", "warning", "<script>alert(1)</script>")
    (training / "findings.json").write_text(json.dumps({"findings": [bad.to_plain()]}))
    (folder / "damaged").mkdir()
    (folder / "damaged" / "manifest.json").write_text("{")
    (folder / "linked").symlink_to(training)
    return folder


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[Server]:
    with Server(runs, 0) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def test_the_list(server: Server, runs: Path) -> None:
    answer, page = ask(server, "/")
    assert answer.status == 200
    assert sorted(find_runs(runs)) == ["a <b>&1", "damaged", "live-1"]
    assert f'<a href="/run/{quote("a <b>&1")}">a &lt;b&gt;&amp;1</a>' in page
    assert "2 runs, 1 of them in training." in page
    assert "3 of 10" in page
    assert "damaged: cannot read" in page
    assert "<b>&1" not in page


def test_a_run_that_trains(server: Server) -> None:
    answer, page = ask(server, "/run/live-1")
    assert answer.status == 200
    for text in ("running", "4 of 10", "2 of 4", "50 batches a second", "1 min 15 s", 'value="0.3500"'):
        assert text in page, text
    assert "&lt;i&gt;x" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert page.count("<figure id=") == 4
    assert "The report" not in page


def test_a_run_that_is_over(server: Server) -> None:
    name = quote("a <b>&1")
    _, page = ask(server, f"/run/{name}")
    assert "Test accuracy" in page
    assert f'href="/run/{name}/report"' in page
    assert "<progress" not in page
    assert ask(server, f"/run/{name}/report")[1] == "<p>the report</p>"


def test_what_has_not_changed_is_not_sent_again(server: Server) -> None:
    answer, _ = ask(server, "/run/" + quote("a <b>&1"))
    tag = str(answer.getheader("ETag"))
    answer, page = ask(server, "/run/" + quote("a <b>&1"), If_None_Match=tag)
    assert (answer.status, page) == (304, "")


@pytest.mark.parametrize(
    "path",
    [
        "/run/../secret.txt",
        "/run/..%2fsecret.txt",
        "/run/%2e%2e/%2e%2e/etc/passwd",
        "/run/live-1/../../secret.txt",
        "/run/live-1/manifest.json",
        "/run/live-1/report",
        "/run//etc/passwd",
        "/run/linked",
        "/run/",
        "/run/<script>",
        "/secret.txt",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_served(server: Server, path: str) -> None:
    answer, text = ask(server, path)
    assert answer.status == 404
    assert "root:" not in text
    assert "<script>" not in text


def test_other_methods_and_other_names_are_refused(server: Server) -> None:
    assert ask(server, "/", "POST")[0].status == 501
    assert ask(server, "/", "DELETE")[0].status == 501
    answer, text = ask(server, "/", "HEAD")
    assert (answer.status, text) == (200, "")
    assert ask(server, "/", Host="evil.example")[0].status == 403
    assert ask(server, "/", Host=f"localhost:{server.server_port}")[0].status == 200


def test_what_a_page_may_do(server: Server) -> None:
    answer, _ = ask(server, "/")
    policy = str(answer.getheader("Content-Security-Policy"))
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    answer, script = ask(server, "/follow.js")
    assert "javascript" in str(answer.getheader("Content-Type"))
    assert "fetch(location.pathname" in script


def test_it_is_bound_to_this_machine(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(ConfigError, match=r"port \d+ cannot be used"):
        Server(server.folder, server.server_port)


def test_a_run_that_is_silent(runs: Path) -> None:
    seen = look_at("live-1", runs / "live-1")
    assert "running, silent for 16 min 40 s" in run_page(seen, now=seen.written + 1000)
    assert "silent" not in list_page(runs, now=seen.written + 10)
    assert seen.summary.best_epoch in (1, 2, 3)


def test_the_command(cli: Cli, runs: Path) -> None:
    done = cli("serve", runs, "--port", 0, "--seconds", 0.2)
    assert done.code == 0, done.err
    assert done.lines[0].startswith("serving  http://127.0.0.1:")
    assert done.lines[0].endswith(f" · 3 runs in {runs}")
    assert cli("serve", "nowhere").err.startswith("error: there is no folder nowhere")
    one = cli("serve", runs / "live-1", "--port", 0, "--seconds", 0)
    assert one.lines[0].endswith(f" · 1 run in {runs / 'live-1'}")


def test_a_training_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keeping, "_HISTORY_SECONDS", -1)
    monkeypatch.setattr(_keeping, "_PROGRESS_SECONDS", -1)
    pages: list[str] = []

    class Look(preceptor.Callback):
        order = 90

        def on_epoch_end(self, state: State) -> None:
            pages.append(ask(server, "/run/now")[1])

    with Server(tmp_path, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        assert "There is no run here yet" in ask(server, "/")[1]
        preceptor.train(
            data="iris",
            epochs=2,
            out=tmp_path / "now",
            callbacks=[Look()],
            settings={"training.watch": False},
        )
        pages.append(ask(server, "/run/now")[1])
        server.shutdown()
        thread.join()
    assert ["running." in page for page in pages] == [True, True, False]
    assert ["time left" in page for page in pages] == [True, True, False]
    assert ["1 of 2" in pages[0], "2 of 2" in pages[1], "finished." in pages[2]] == [True] * 3
