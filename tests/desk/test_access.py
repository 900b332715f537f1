"""Secrets, and where a request may come from."""

from __future__ import annotations

import pytest

from legseg_bids.desk.access import HEADER, Access, Attempts
from legseg_bids.desk.refusals import Forbidden, NoSession, TooMany

HOST = "127.0.0.1:8080"


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def access(now: list[float]) -> Access:
    return Access(8080, Attempts(3, 10, lambda: now[0]))


def test_secrets_are_long_and_new_each_time() -> None:
    tokens = {Access(1, Attempts(1, 1)).token for _ in range(5)}
    assert len(tokens) == 5
    assert min(map(len, tokens)) >= 43  # 256 bits in base64


def test_secrets_are_in_no_text_about_them(access: Access) -> None:
    session = access.open(access.token)
    assert access.token not in repr(access)
    assert session.cookie not in repr(access)


@pytest.mark.parametrize("token", ["", "x", "é", "\udcff"])
def test_wrong_token(access: Access, token: str) -> None:
    for wrong in (token, access.token[:-1], access.token + "a"):
        with pytest.raises(Forbidden, match="wrong or an old token"):
            access.open(wrong)


def test_wrong_tokens_are_counted(access: Access, now: list[float]) -> None:
    for _ in range(3):
        with pytest.raises(Forbidden):
            access.open("no")
    with pytest.raises(TooMany, match="wait 10 s"):
        access.open(access.token)  # a guess that is right by chance is not let in either
    now[0] = 10.0
    assert access.open(access.token).cookie
    # One that is wrong uses up what had come back.
    with pytest.raises(Forbidden):
        access.open("no")
    with pytest.raises(TooMany):
        access.open("no")


def test_sessions_go_on_while_tokens_are_guessed(access: Access) -> None:
    session = access.open(access.token)
    for _ in range(3):
        with pytest.raises(Forbidden):
            access.open("no")
    assert access.session({"cookie": f"{access.cookie_name}={session.cookie}"}) == session


@pytest.mark.parametrize(
    "cookie",
    ["", "legseg-desk-8080=", "legseg-desk-8080=x", "other=1", ";;=", "legseg-desk-8080=\u00e9"],
)
def test_no_session(access: Access, cookie: str) -> None:
    access.open(access.token)
    with pytest.raises(NoSession, match="no session"):
        access.session({"cookie": cookie})


def test_the_cookie_of_another_port_is_none_of_ours(access: Access) -> None:
    session = access.open(access.token)
    with pytest.raises(NoSession):
        access.session({"cookie": f"legseg-desk-9090={session.cookie}"})


def test_the_oldest_of_many_sessions_ends(access: Access) -> None:
    first, *_, last = [access.open(access.token) for _ in range(101)]
    with pytest.raises(NoSession):
        access.session({"cookie": f"{access.cookie_name}={first.cookie}"})
    assert access.session({"cookie": f"{access.cookie_name}={last.cookie}"}) == last


def test_a_change_needs_the_secret_of_its_own_session(access: Access) -> None:
    first, second = access.open(access.token), access.open(access.token)
    access.check_change(first, {HEADER: first.csrf})
    for headers in ({}, {HEADER: ""}, {HEADER: second.csrf}, {HEADER: first.cookie}):
        with pytest.raises(Forbidden, match="load the page again"):
            access.check_change(first, headers)


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "127.0.0.1:80", "localhost", "evil.example", "evil.example:8080",
     "[::1]:8080", "127.0.0.1:8080.evil.example", "localhost:8080@evil.example", "127.0.0.2:8080",
     "0.0.0.0:8080", "LOCALHOST:8081", "a.localhost:8080", "127.1:8080", "2130706433:8080"],
)  # fmt: skip
def test_other_hosts_are_refused(access: Access, host: str) -> None:
    with pytest.raises(Forbidden, match="another host"):
        access.check_source("GET", "/", {"host": host})


ELSEWHERE = (
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "https://127.0.0.1:8080"},
    {"origin": "http://127.0.0.1:8081"},
    {"origin": "http://localhost:8080"},  # not the name that this request was sent to
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
)


@pytest.mark.parametrize("headers", ELSEWHERE)
@pytest.mark.parametrize("path", ["/", "/open", "/static/app.js", "/api/session"])
def test_other_pages_are_refused(access: Access, path: str, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        with pytest.raises(Forbidden, match="another page"):
            access.check_source(method, path, {"host": HOST, **headers})


CLICK = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}


def test_a_click_elsewhere_opens_the_door_and_nothing_else(access: Access) -> None:
    for path in ("/", "/open"):
        access.check_source("GET", path, {"host": HOST, **CLICK})
    for method, path in (
        ("POST", "/"),
        ("GET", "/api/session"),
        ("GET", "/api/projects/x/export"),
    ):
        with pytest.raises(Forbidden, match="another page"):
            access.check_source(method, path, {"host": HOST, **CLICK})


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": f"http://{HOST}"}, {"sec-fetch-site": "same-origin"},
     {"sec-fetch-site": "none"}],
)  # fmt: skip
def test_our_own_page_is_heard(access: Access, headers: dict[str, str]) -> None:
    access.check_source("PUT", "/api/projects", {"host": HOST, **headers})
