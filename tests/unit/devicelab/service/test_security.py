"""Who gets in, what is refused at the edge: tokens, roles, uploads, names, other sites."""

import hashlib
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute

OPEN = {"/login", "/logout", "/healthz"}
SUBMISSION = {"sha256": "a" * 64, "fingerprint": "b" * 64}
MALICE = ["..", "../../etc/passwd", "%2e%2e%2fetc%2fpasswd", "..%2f..%2fx", "a;reboot", "$(id)", "`id`", "a b", "a|b",
          "a&b", "a>b", "a'b", 'a"b', "a\nb", "a\x00b", "-rf", "a" * 200, "ä"]  # fmt: skip


def routes(router):
    for route in router.routes:
        if hasattr(route, "original_router"):
            yield from routes(route.original_router)
        elif isinstance(route, APIRoute):
            for method in sorted(route.methods - {"HEAD", "OPTIONS"}):
                yield method, route.path


def filled(path):
    return (
        path.replace("{sha256}", "a" * 64)
        .replace("{name}", "moto-g6-1")
        .replace("{action}", "drain")
        .replace("{key}", "k")
    )


def test_nothing_without_a_token(web, app):
    asked = [(method, path) for method, path in routes(app) if path not in OPEN]
    assert len(asked) >= 15
    for method, path in asked:
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic x"}):
            answer = web.request(method, filled(path), headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert "moto" not in answer.text


def test_a_browser_without_a_token_is_asked_for_one(web):
    answer = web.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert "A token, please" in answer.text
    assert "moto" not in answer.text


@pytest.mark.parametrize(
    ("role", "method", "path", "body", "status"),
    [
        ("read-only", "GET", "/api/v1/status", None, 200),
        ("read-only", "PUT", "/api/v1/requests/k", SUBMISSION, 403),
        ("read-only", "PUT", f"/api/v1/artifacts/{'a' * 64}", None, 403),
        ("read-only", "POST", "/api/v1/devices/moto-g6-1/drain", {"why": "looks hot"}, 403),
        ("search", "PUT", "/api/v1/requests/k", SUBMISSION, 200),
        ("search", "POST", "/api/v1/devices/moto-g6-1/drain", {"why": "looks hot"}, 403),
        ("agent", "POST", "/api/v1/devices/moto-g6-1/drain", {"why": "looks hot"}, 403),
        ("agent", "PUT", "/api/v1/requests/k", SUBMISSION, 403),
        ("operator", "POST", "/api/v1/devices/moto-g6-1/drain", {"why": "looks hot"}, 200),
    ],
)
def test_a_role_may_do_what_it_may(web, of, desk, role, method, path, body, status):
    answer = web.request(method, path, json=body, headers=of(role))
    assert answer.status_code == status, answer.text
    if status == 403:
        assert "ask an operator for another token" in answer.json()["message"]
        assert not desk.orders
        assert not desk.requests


def test_an_order_carries_who_and_why(web, of, desk):
    web.post("/api/v1/devices/moto-g6-2/drain", json={"why": "  swollen battery "}, headers=of("operator"))
    assert desk.orders == [("moto-g6-2", "drain", "some-operator", "swollen battery")]


@pytest.mark.parametrize(
    "body", [None, {}, {"why": ""}, {"why": "  x "}, {"why": "x" * 501}, {"why": "hot", "who": "me"}]
)
def test_an_order_without_a_reason_is_refused(web, of, desk, body):
    answer = web.post("/api/v1/devices/moto-g6-2/drain", json=body, headers=of("operator"))
    assert answer.status_code == 422
    assert not desk.orders


def test_takes_a_network_once_under_its_digest(web, of, network, tmp_path):
    content, digest, fingerprint = network
    address = f"/api/v1/artifacts/{digest}"
    assert web.get(address, headers=of("search")).status_code == 404
    first = web.put(address, content=content, headers=of("search"))
    assert (first.status_code, first.json()["fingerprint"]) == (201, fingerprint)
    assert web.put(address, content=content, headers=of("search")).status_code == 200
    kept = [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]
    assert [path.name for path in kept] == [f"{digest}.tflite"]


@pytest.mark.parametrize(
    ("content", "announced", "reason"),
    [
        (b"", None, "not a .tflite"),
        (b"x" * 5000, None, "not a .tflite"),
        (b"\x10\0\0\0TFL3" + bytes(range(256)) * 20, None, "damaged"),
        (b"\x7fELF\0\0\0\0", None, "not a .tflite"),
        ("network", "0" * 64, "whose SHA-256 is"),
        ("half", None, "damaged"),
    ],
)
def test_garbage_is_refused_and_leaves_nothing(web, of, network, tmp_path, content, announced, reason):
    content = {"network": network[0], "half": network[0][: len(network[0]) // 2]}.get(content, content)
    digest = announced or hashlib.sha256(content).hexdigest()
    answer = web.put(f"/api/v1/artifacts/{digest}", content=content, headers=of("search"))
    assert (answer.status_code, answer.json()["kind"]) == (422, "UploadError")
    assert reason in answer.json()["message"]
    assert [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()] == []


def test_what_is_too_large_is_refused_however_it_arrives(web, of, tmp_path, max_bytes):
    def dribble():
        for _ in range(max_bytes // 4096 + 10):
            yield b"x" * 4096

    for content in (b"x" * (max_bytes + 1), dribble()):
        answer = web.put(f"/api/v1/artifacts/{'a' * 64}", content=content, headers=of("search"))
        assert answer.status_code == 413
    assert [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()] == []
    answer = web.put("/api/v1/requests/k", content=b"[" * (1 << 17), headers=of("search"))
    assert answer.status_code == 413


@pytest.mark.parametrize("name", MALICE)
def test_names_that_are_no_names_are_refused_at_the_edge(web, of, desk, name):
    written = name if "%" in name else quote(name, safe="").replace(".", "%2e")
    for method, path, body in (
        ("POST", f"/api/v1/devices/{written}/drain", {"why": "because"}),
        ("PUT", f"/api/v1/requests/{written}", SUBMISSION),
        ("PUT", f"/api/v1/artifacts/{written}", None),
        ("GET", f"/phones/{written}", None),
        ("GET", f"/static/{written}", None),
    ):
        answer = web.request(method, path, json=body, headers=of("operator"))
        assert answer.status_code in (404, 405, 422), (path, answer.status_code)
        assert "root:" not in answer.text
    hidden = web.put("/api/v1/requests/k", json=SUBMISSION | {"search": name}, headers=of("search"))
    assert hidden.status_code == 422
    wanted = web.put("/api/v1/requests/k", json=SUBMISSION | {"selector": {"nam": name}}, headers=of("search"))
    assert wanted.status_code == 422
    assert not desk.orders
    assert not desk.requests


def test_the_fingerprint_is_checked_against_the_file(web, of, network, desk):
    content, digest, fingerprint = network
    web.put(f"/api/v1/artifacts/{digest}", content=content, headers=of("search"))
    lie = {"sha256": digest, "fingerprint": "c" * 64}
    answer = web.put("/api/v1/requests/k", json=lie, headers=of("search"))
    assert answer.status_code == 422
    assert "holds the graph" in answer.json()["message"]
    assert not desk.requests
    honest = {"sha256": digest, "fingerprint": fingerprint}
    assert web.put("/api/v1/requests/k", json=honest, headers=of("search")).json()["upload"] is False


def test_a_key_is_one_request(web, of):
    assert web.put("/api/v1/requests/k", json=SUBMISSION, headers=of("search")).json()["upload"] is True
    answer = web.put("/api/v1/requests/k", json=SUBMISSION | {"threads": 4}, headers=of("search"))
    assert (answer.status_code, answer.json()["kind"]) == (422, "ConfigError")


def test_a_cookie_opens_pages_and_no_other_site_can_use_it(web, token, desk):
    refused = web.post("/login", data={"token": "nonsense"}, follow_redirects=False)
    assert (refused.status_code, "set-cookie" in refused.headers) == (401, False)
    entered = web.post("/login", data={"token": token["operator"], "next": "/"}, follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert "SameSite=strict" in entered.headers["set-cookie"]
    assert web.get("/").status_code == 200
    address, order = "/api/v1/devices/moto-g6-1/drain", {"why": "because"}
    assert web.post(address, json=order).status_code == 401
    assert web.post(address, json=order, headers={"X-Fer-Lab": "page"}).status_code == 200
    web.post("/logout")
    assert web.get("/").status_code == 401
    assert len(desk.orders) == 1


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\nb"])
def test_a_login_leads_nowhere_else(web, token, target):
    answer = web.post("/login", data={"token": token["search"], "next": target}, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_pages_load_nothing_from_elsewhere(web, of):
    for path in ("/", "/phones/moto-g6-3"):
        answer = web.get(path, headers=of("read-only"))
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "style=" not in answer.text
