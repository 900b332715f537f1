"""Every request through the whole application: who is let in, and what is told to whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from desks import PORT, InHand, TestClient, desk_in_hand

from legseg_bids.desk.access import HEADER
from legseg_bids.desk.app import ROUTES, create_app
from legseg_bids.desk.guard import HEADERS, POLICY

CALLS = [(method, path.format(id="study-0", rid="0" * 16)) for method, path, _ in ROUTES]
CHANGES = [(method, path) for method, path in CALLS if method != "GET"]


def stranger(hand: InHand, **more: object) -> TestClient:
    """A browser without a session, on the same server."""
    return TestClient(hand.client.app, hand.client.base_url, follow_redirects=False, **more)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_nothing_is_told_without_a_session(hand: InHand, method: str, path: str) -> None:
    answer = stranger(hand).request(method, path)
    assert answer.status_code == 401
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_nothing_is_changed_without_the_second_secret(
    hand: InHand, method: str, path: str
) -> None:
    for headers in ({}, {HEADER: "x"}):
        answer = hand.client.request(method, path, headers=headers)
        assert (answer.status_code, "header" in answer.json()["error"]) == (403, True)


@pytest.mark.parametrize(("method", "path"), [*CALLS, ("GET", "/"), ("GET", "/open")])
def test_other_hosts_and_pages_are_refused(hand: InHand, method: str, path: str) -> None:
    for headers in (
        {"host": "evil.example"},
        {"host": f"evil.example:{PORT}"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    ):
        answer = hand.client.request(method, path, headers={**hand.headers, **headers})
        assert answer.status_code == 403, headers


def test_headers_that_stand_twice_are_refused(hand: InHand) -> None:
    good = f"127.0.0.1:{PORT}"
    for name, values in (("host", (good, "evil.example")), ("origin", (f"http://{good}", "null"))):
        answer = hand.client.get("/", headers=[(name, value) for value in values])
        assert answer.status_code == 403


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND"])
def test_no_other_method_and_no_leave_for_other_origins(hand: InHand, method: str) -> None:
    asked = {"access-control-request-method": "PUT", "access-control-request-headers": HEADER}
    answer = hand.client.request(method, "/api/projects", headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path",
    ["/", "/open?token=x", "/nowhere", "/static/nothing.js", "/api/session", "/api/nowhere"],
)
def test_every_answer_has_the_headers(hand: InHand, path: str) -> None:
    for client in (hand.client, stranger(hand)):
        headers = client.get(path).headers
        assert {name: headers[name] for name in HEADERS if name != "cache-control"} == {
            name: value for name, value in HEADERS.items() if name != "cache-control"
        }
        assert headers["content-security-policy"] == POLICY
        assert "server" not in headers


def test_the_policy_allows_nothing_from_elsewhere() -> None:
    allowed = {word for part in POLICY.split("; ") for word in part.split()[1:]}
    assert allowed == {"'none'", "'self'", "data:", "blob:"}
    for directive in ("default-src", "frame-ancestors", "base-uri", "form-action"):
        assert f"{directive} 'none'" in POLICY
    assert "script-src 'self';" in POLICY


def test_the_cookie_is_for_this_server_and_for_no_script(hand: InHand) -> None:
    answer = stranger(hand).get("/open", params={"token": hand.desk.access.token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    told = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= told
    assert not any(part.startswith(("domain", "expires", "max-age")) for part in told)
    assert hand.desk.access.token not in answer.headers["set-cookie"]


def test_wrong_tokens_open_nothing_and_are_counted(hand: InHand) -> None:
    client = stranger(hand)
    codes = [client.get("/open", params={"token": f"guess {n}"}).status_code for n in range(12)]
    assert codes == [403] * 10 + [429] * 2
    assert client.get("/open", params={"token": hand.desk.access.token}).status_code == 429
    assert not client.cookies
    assert hand.client.get("/api/session").status_code == 200


def test_a_session_of_another_server_is_none_here(hand: InHand, tmp_path: Path) -> None:
    with desk_in_hand(tmp_path / "other") as other:
        # Same port, as after a restart: the cookie has the same name.
        for name, value in other.client.cookies.items():
            answer = stranger(hand, cookies={name: value}).get("/api/session")
            assert answer.status_code == 401
        answer = stranger(hand).get("/open", params={"token": other.desk.access.token})
        assert answer.status_code == 403


def test_another_user_of_the_machine_gets_nothing(hand: InHand) -> None:
    app = create_app(hand.desk, lambda client: client != ("127.0.0.1", 4))
    cookies = dict(hand.client.cookies)
    for port, status in ((4, 403), (5, 200)):
        client = TestClient(app, hand.client.base_url, client=("127.0.0.1", port), cookies=cookies)
        for path in ("/api/session", "/static/vendor/niivue.umd.js"):
            assert client.get(path).status_code == status


def test_errors_of_ours_are_told_without_details(
    hand: InHand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "/home/somebody/secret.py"

    def broken(_: object) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr(hand.desk, "described", broken)
    project = hand.desk.projects.setdefault("x", hand.desk.workspace.create("x", None)).id
    hand.desk.projects[project] = hand.desk.projects["x"]
    answer = hand.client.get(f"/api/projects/{project}")
    assert answer.status_code == 500
    assert set(answer.json()) == {"error"}
    assert secret not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"] == POLICY
    assert secret in caplog.text


@pytest.mark.parametrize(
    "name",
    ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc/passwd", "", ".", "vendor", "nothing.js",
     "....//app.py", "app.js%00", "\\..\\app.py"],
)  # fmt: skip
def test_only_files_of_the_page_are_handed_out(hand: InHand, name: str) -> None:
    answer = hand.client.get(f"/static/{name}")
    assert answer.status_code in (404, 400)
    assert "import" not in answer.text


def test_the_page_and_its_viewer_are_there(hand: InHand) -> None:
    assert hand.client.get("/").headers["content-type"].startswith("text/html")
    viewer = hand.client.get("/static/vendor/niivue.umd.js")
    assert viewer.headers["content-type"].startswith("text/javascript")
    assert len(viewer.text) > 1_000_000


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"3", b'{"name": 3}', b'{"name": ""}'])
def test_bodies_that_are_no_request(hand: InHand, body: bytes) -> None:
    answer = hand.change("POST", "/api/projects", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_body_that_never_ends(tmp_path: Path) -> None:
    with desk_in_hand(tmp_path / "desk", request_json=1000) as hand:
        answer = hand.change("POST", "/api/projects", content=iter([b"[" * 600, b"[" * 600]))
        assert answer.status_code == 413


@pytest.mark.parametrize("identifier", ["nothing", "..", "%2e%2e", "a%2fb", "x" * 300, "%00"])
def test_projects_that_are_not_there(hand: InHand, identifier: str) -> None:
    assert hand.client.get(f"/api/projects/{identifier}").status_code == 404
