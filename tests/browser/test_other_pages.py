"""A page of another server tries to use the desk through the browser of whoever has a session.

The other server is on the same machine: for a browser that is the same site, so our cookie goes
along with what the page asks for, and only the desk itself can refuse.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from desks import Served, served

ATTACK = """<!doctype html><title>other</title><body><script>
const desk = "DESK", heard = [];
const tell = (what) => (value) => heard.push([what, String(value)]);
const attempt = (what, promise) => promise.then(
  (r) => tell(what)(r.type), tell(what + " failed"));
const body = JSON.stringify({ name: "planted" });
async function attack() {
  const projects = desk + "/api/projects";
  await attempt("read", fetch(projects, { credentials: "include" }));
  await attempt("blind", fetch(projects, { mode: "no-cors", credentials: "include" }));
  await attempt("simple", fetch(projects, {
    method: "POST", mode: "no-cors", credentials: "include", body,
    headers: { "Content-Type": "text/plain" } }));
  await attempt("header", fetch(projects, {
    method: "POST", credentials: "include", body,
    headers: { "Content-Type": "application/json", "X-Legseg-Desk": "x" } }));
  await attempt("delete", fetch(projects + "/PROJECT", {
    method: "DELETE", credentials: "include" }));
  navigator.sendBeacon(projects, body);
  const source = new EventSource(projects + "/PROJECT/events", { withCredentials: true });
  source.onmessage = (event) => tell("events")(event.data);
  const image = new Image();
  image.onload = tell("image");
  image.src = desk + "/static/icon.svg";
  const script = document.createElement("script");
  script.onload = tell("script");
  script.src = desk + "/static/app.js";
  document.head.append(script);
  const frame = document.createElement("iframe");
  frame.src = desk + "/";
  document.body.append(frame);
  const form = document.createElement("form");
  Object.assign(form, { method: "POST", action: projects, enctype: "text/plain", target: "sink" });
  form.append(Object.assign(document.createElement("input"), { name: body, value: "" }));
  document.body.append(Object.assign(document.createElement("iframe"), { name: "sink" }), form);
  form.submit();
  const opened = window.open(desk + "/");
  await new Promise((done) => setTimeout(done, 1500));
  try { tell("window")(opened.document.body.innerText); } catch (e) { tell("window failed")(e); }
  return heard;
}
</script>"""


@pytest.fixture
def desk(tmp_path: Path, tiny_models: Path) -> Iterator[Served]:
    with served(tmp_path, "--models", tiny_models) as found:
        yield found


@pytest.fixture
def elsewhere() -> Iterator[ThreadingHTTPServer]:
    """A server that hands out `page` and keeps what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.seen.append(str(self.headers))
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(server.page.encode())

        def log_message(self, *_: object) -> None: ...

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.page, server.seen = "", []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_page_of_another_server_gets_and_changes_nothing(
    browser: Any, desk: Served, elsewhere: Any
) -> None:
    with desk.browser() as own:
        project = own.post("/api/projects", json={"name": "Mine"}).json()["id"]
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(desk.address)
        mine = page.evaluate("fetch('/api/projects').then((r) => r.json())")
        assert [one["name"] for one in mine] == ["Mine"]  # a session, and it works

        elsewhere.page = ATTACK.replace("DESK", desk.base).replace("PROJECT", project)
        other = context.new_page()
        other.goto(f"http://127.0.0.1:{elsewhere.server_address[1]}/")
        # As feared: the browser shows our cookie to any server of this machine.
        assert any(f"legseg-desk-{desk.port}" in headers for headers in elsewhere.seen)
        heard = dict(other.evaluate("attack()"))
        frames = [frame.url for frame in other.frames[1:]]

        tried = ("read", "blind", "simple", "header", "delete", "window")
        assert set(heard) == {f"{what} failed" for what in tried}
        assert desk.base + "/" not in frames
        mine = page.evaluate("fetch('/api/projects').then((r) => r.json())")
        assert [one["name"] for one in mine] == ["Mine"]
