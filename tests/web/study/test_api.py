import io
import ipaddress
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import PIL.Image
import pytest

from photochrom import ConfigError
from photochrom.cli.main import main
from photochrom.study.study import Study
from photochrom.web.serving.guard import Guard
from photochrom.web.serving.host import is_address, is_local
from photochrom.web.serving.listen import address, listen, make_server
from photochrom.web.study.api import study_app

STATIC = Path(__file__).parents[3] / "src/photochrom/web/static/study"


@pytest.fixture
def study(new_study: Path, tmp_path: Path) -> Iterator[Study]:
    with Study.open(shutil.copy(new_study, tmp_path)) as study:
        yield study


def run(study: Study, sock: socket.socket, key: str | None = None) -> Iterator[str]:
    server = make_server(study_app(study), sock, key=key)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    yield address(sock).rstrip("/")
    server.should_exit = True
    thread.join()


@pytest.fixture
def url(study: Study) -> Iterator[str]:
    with listen("127.0.0.1", 0) as sock:
        yield from run(study, sock)


def browser(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Origin": url}, trust_env=False)


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with browser(url) as client:
        yield client


def join(client: httpx.Client, another: bool = False) -> None:
    assert client.post("/api/join", json={"another": another}).status_code == 200


def show(client: httpx.Client) -> dict | None:
    trial = client.post("/api/next").json()["trial"]
    if trial is not None:
        assert client.post(f"/api/trials/{trial['id']}/start").status_code == 204
    return trial


def answer(client: httpx.Client, trial: dict, side: str = "left") -> httpx.Response:
    body = {"side": side, "response_ms": 250.5, "exposure_ms": 1003}
    return client.post(f"/api/trials/{trial['id']}/answer", json=body)


def states(path: Path) -> list[str]:
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT state FROM trial ORDER BY participant, position, id").fetchall()
    db.close()
    return [state for (state,) in rows]


# --- the way through ------------------------------------------------------------------------------


def test_a_participant_gets_through_and_learns_the_score_only_at_the_end(
    client: httpx.Client, study: Study
) -> None:
    assert client.get("/api/session").json() == {
        "exposure": 1, "practice": 1, "pairs": 5, "joined": False,
    }  # fmt: skip
    join(client)
    for n in range(6):
        session = client.get("/api/session").json()
        assert (session["answered"], session["total"], session["finished"]) == (n, 6, False)
        assert "score" not in session
        trial = show(client)
        assert trial is not None and trial["practice"] == (n == 0)
        reply = answer(client, trial)
        assert reply.status_code == 200
        assert sorted(reply.json()) == (["recolored", "right"] if n == 0 else [])
    reply = client.post("/api/next").json()
    assert reply["trial"] is None and reply["session"]["finished"]
    assert reply["session"]["score"]["counted"] == 4
    assert states(study.path) == ["answered"] * 6


def test_feedback_on_practice_is_true(client: httpx.Client, study: Study) -> None:
    for _ in range(6):
        join(client, another=True)
        trial = show(client)
        assert trial is not None
        with sqlite3.connect(study.path) as db:
            ((left,),) = db.execute(
                "SELECT fake_left FROM trial WHERE token = ?", (trial["id"],)
            ).fetchall()
        db.close()
        reply = answer(client, trial, "left").json()
        assert reply == {"right": bool(left), "recolored": "left" if left else "right"}


def test_nothing_says_which_side_is_which_before_the_answer(
    client: httpx.Client, study: Study
) -> None:
    join(client)
    with sqlite3.connect(study.path) as db:
        rows = db.execute(
            "SELECT trial.token, kind, fake_left, left_token, photo.name FROM trial"
            " JOIN photo ON photo.id = photo ORDER BY position"
        ).fetchall()
    db.close()
    heads = set()
    for token, kind, _, left_token, _ in rows:
        reply = client.post("/api/next")
        trial = reply.json()["trial"]
        assert set(trial) == {"id", "left", "right", "practice", "number", "total"}
        assert trial["id"] == token and trial["left"] == f"/picture/{left_token}"
        assert trial["practice"] == (kind == "practice")  # catch and counted ones look the same
        for word in ("catch", "ours", "calm", "real", "fake", *(name for *_, name in rows)):
            assert word not in re.sub(r"[\w-]{22}", "", reply.text)
        pictures = [client.get(trial[side]) for side in ("left", "right")]
        for picture in pictures:
            names = tuple(sorted(picture.headers))
            heads.add((names, picture.headers["content-type"], picture.headers["cache-control"]))
        assert len({picture.headers["content-length"] for picture in pictures}) == 1
        assert len({PIL.Image.open(io.BytesIO(p.content)).size for p in pictures}) == 1
        client.post(f"/api/trials/{token}/start")
        answer(client, trial)
    assert len(heads) == 1 and next(iter(heads))[1:] == ("image/jpeg", "no-store")
    assert len({(kind, left) for _, kind, left, *_ in rows}) > 1


def test_an_answer_sent_twice_counts_once(client: httpx.Client, study: Study) -> None:
    join(client)
    trial = show(client)
    assert trial is not None
    first = answer(client, trial, "left").json()
    assert answer(client, trial, "right").json() == first
    assert states(study.path).count("answered") == 1


def test_of_two_pages_of_one_person_only_one_shows_a_pair(
    client: httpx.Client, study: Study
) -> None:
    join(client)
    trial = client.post("/api/next").json()["trial"]
    assert client.post("/api/next").json()["trial"] == trial
    starts = [client.post(f"/api/trials/{trial['id']}/start").status_code for _ in range(2)]
    assert starts == [204, 404]
    other = show(client)  # as the page does that came too late
    assert other is not None and other["id"] != trial["id"]
    assert answer(client, trial).status_code == 404 and answer(client, other).status_code == 200
    assert states(study.path)[:2] == ["abandoned", "answered"]


def test_what_is_unknown_or_over_is_not_found(client: httpx.Client) -> None:
    assert client.post("/api/next").status_code == 404
    join(client)
    trial = show(client)
    assert trial is not None
    for reply in (
        client.post("/api/trials/nonsense/start"),
        answer(client, {"id": "nonsense"}),
        client.get("/picture/nonsense"),
        client.get("/picture/..%2f..%2fetc%2fpasswd"),
        client.get("/static/..%2fstudy.js"),
        client.get("/static/%2e%2e/%2e%2e/study/api.py"),
        client.get("/docs"),
        client.get("/openapi.json"),
    ):
        assert reply.status_code == 404
        assert isinstance(reply.json()["error"], str)
    assert client.get(trial["left"]).status_code == 200
    show(client)  # which abandons the first
    assert answer(client, trial).status_code == 404
    assert client.get(trial["left"]).status_code == 404


def test_two_browsers_are_two_participants(url: str, study: Study) -> None:
    with browser(url) as one, browser(url) as two:
        join(one)
        join(two)
        trial, other = show(one), show(two)
        assert trial is not None and other is not None and trial["id"] != other["id"]
        assert two.get(trial["left"]).status_code == 404
        assert answer(two, trial).status_code == 404
        assert answer(one, trial).status_code == answer(two, other).status_code == 200
        join(one)  # again, as after a lost reply: still the same one
        assert one.get("/api/session").json()["answered"] == 1
        join(one, another=True)
        assert one.get("/api/session").json()["answered"] == 0
    assert states(study.path).count("answered") == 2


# --- who is let in --------------------------------------------------------------------------------


def test_every_reply_forbids_what_a_page_of_ours_never_needs(client: httpx.Client) -> None:
    join(client)
    trial = show(client)
    assert trial is not None
    paths = ("/", "/static/study.js", "/api/session", trial["left"], "/nothing")
    for reply in (*map(client.get, paths), client.get("/", headers={"Host": "evil.example"})):
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and "http" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert reply.headers["cache-control"] == "no-store"
        assert "server" not in reply.headers and "access-control-allow-origin" not in reply.headers


def test_the_page_loads_nothing_from_elsewhere_and_has_no_inline_code() -> None:
    html = (STATIC / "index.html").read_text()
    assert not re.search(r"https?://|\bon\w+=|<style|style=|<script(?![^>]*src=)", html)
    for name in ("study.js", "study.css"):
        assert not re.search(r"https?:|@import|innerHTML|eval\(", (STATIC / name).read_text())


def test_the_cookie_is_for_the_server_alone(client: httpx.Client) -> None:
    cookie = client.post("/api/join", json={}).headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "", "evil.example:{}"]
)
def test_another_host_name_is_refused(client: httpx.Client, host: str) -> None:
    host = host.format(client.base_url.port)
    assert client.get("/api/session", headers={"Host": host}).status_code == 421


def test_localhost_is_as_good_as_its_number(client: httpx.Client) -> None:
    host = f"localhost:{client.base_url.port}"
    assert client.get("/api/session", headers={"Host": host}).status_code == 200
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert client.post("/api/join", json={}, headers=headers).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="others have no 127.0.0.2 by themselves")
def test_another_address_of_this_machine_is_answered_too(serve_study, study: Study) -> None:
    server = serve_study("-o", str(study.path), "--host", "127.0.0.2", "--port", "0")
    assert server.url.startswith("http://127.0.0.2:")
    with browser(server.url.rstrip("/")) as client:
        assert client.get("/").status_code == 200
        join(client)
        assert show(client) is not None
        for name in ("evil.example", "127.0.0.3", "192.168.1.5"):
            headers = {"Host": f"{name}:{server.port}"}
            assert client.get("/", headers=headers).status_code == 421


def test_changes_come_from_our_own_page_alone(client: httpx.Client, study: Study) -> None:
    port = client.base_url.port
    for origin in ("https://evil.example", "null", f"http://localhost:{port}", "http://127.0.0.1"):
        reply = client.post("/api/join", json={}, headers={"Origin": origin})
        assert reply.status_code == 403
    assert httpx.post(f"{client.base_url}/api/join", json={}, trust_env=False).status_code == 403
    assert states(study.path) == []


def test_bodies_are_small_and_exactly_as_expected(client: httpx.Client, study: Study) -> None:
    join(client)
    trial = show(client)
    assert trial is not None
    path = f"/api/trials/{trial['id']}/answer"
    good = {"side": "left", "response_ms": 1, "exposure_ms": 1}
    for body in (
        b"", b"[]", b"{", b"\xff\xfe", b'"left"',
        json.dumps(good | {"side": "both"}).encode(),
        json.dumps(good | {"response_ms": -1}).encode(),
        json.dumps(good | {"response_ms": float("nan")}).encode(),
        json.dumps(good | {"exposure_ms": "1e999"}).encode(),
        json.dumps(good | {"more": 1}).encode(),
    ):  # fmt: skip
        reply = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code in (400, 422), body
        assert "Traceback" not in reply.text
    assert client.post(path, content=b" " * 5000).status_code == 413
    assert client.post(path, content=iter([b"{}"])).status_code == 411  # of unknown length
    assert states(study.path)[0] == "shown"


def test_a_failing_disk_is_an_error_that_can_be_tried_again(
    client: httpx.Client, study: Study, capfd: pytest.CaptureFixture[str]
) -> None:
    join(client)
    trial = show(client)
    assert trial is not None
    study.close()
    reply = answer(client, trial)
    assert reply.status_code == 503 and "s.db" not in reply.text
    assert "s.db: cannot be used" in capfd.readouterr().err


# --- the network ----------------------------------------------------------------------------------


def test_other_addresses_need_a_word_of_their_own() -> None:
    assert all(map(is_local, ("127.0.0.1", "localhost", "::1", "127.1.2.3")))
    assert not any(map(is_local, ("0.0.0.0", "::", "192.168.1.5", "example.com", "")))
    with pytest.raises(ConfigError, match="--allow-network"):
        listen("0.0.0.0", 0)
    with pytest.raises(ConfigError, match=r"198\.51\.100\.7:0: cannot listen there"):
        listen("198.51.100.7", 0, allow_network=True)
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ConfigError, match="another --port"):
            listen("127.0.0.1", port)


def test_the_address_for_other_machines_is_a_number_that_leads_here() -> None:
    for anywhere in ("0.0.0.0", "::"):
        with listen(anywhere, 0, allow_network=True) as sock:
            given = urlsplit(address(sock))
            if given.hostname == socket.gethostname().lower():
                continue  # this machine has no network of that kind
            assert given.hostname is not None and is_address(given.hostname)
            assert not ipaddress.ip_address(given.hostname).is_unspecified
            with socket.create_connection((given.hostname, given.port), timeout=60):
                sock.accept()[0].close()


def test_on_an_open_network_the_key_in_the_address_lets_in(study: Study) -> None:
    with listen("0.0.0.0", 0, allow_network=True) as sock:
        assert address(sock, study.key).endswith(f"/?key={study.key}")
        port = sock.getsockname()[1]
        for _ in run(study, sock, study.key):
            url = f"http://127.0.0.1:{port}"
            with browser(url) as client:
                assert client.get("/").status_code == 403
                assert client.get("/?key=wrong").status_code == 403
                assert client.post("/api/join", json={}).status_code == 403
                assert client.get(f"/?key={study.key}").status_code == 200
                join(client)  # by the cookie
                assert show(client) is not None
                # A name of somebody else that leads here is still refused.
                headers = {"Host": f"evil.example:{port}"}
                assert client.get(f"/?key={study.key}", headers=headers).status_code == 421


def test_a_guard_lets_no_websocket_in() -> None:
    guard = Guard(lambda *_: None, ("127.0.0.1", 1))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="websocket"):
        guard({"type": "websocket"}, None, None).send(None)  # type: ignore[arg-type]


# --- as a real process ----------------------------------------------------------------------------


def arguments(root: Path, path: Path) -> list[str]:
    return [
        "--real", str(root / "real"), "--fake", f"ours={root / 'ours'}", "-o", str(path),
        "--trials", "6", "--practice", "1", "--catch", "1", "--port", "0",
    ]  # fmt: skip


def test_killed_at_once_it_has_lost_nothing(
    serve_study, study_folders: Path, tmp_path: Path
) -> None:
    path = tmp_path / "s.db"
    server = serve_study(*arguments(study_folders, path))
    with browser(server.url.rstrip("/")) as one, browser(server.url.rstrip("/")) as two:
        for client in (one, two):
            join(client)
        for _ in range(3):
            for client in (one, two):
                trial = show(client)
                assert trial is not None and answer(client, trial).status_code == 200
        seen = show(one)
        waiting = two.post("/api/next").json()["trial"]
        server.end(signal.SIGKILL)
        assert states(path).count("answered") == 6

        server = serve_study("-o", str(path), "--port", str(server.port))
        assert seen is not None and answer(one, seen).status_code == 200  # sent again
        assert two.post("/api/next").json()["trial"] == waiting
        assert [c.get("/api/session").json()["answered"] for c in (one, two)] == [4, 3]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_cleanly_and_says_how_to_go_on(
    serve_study, study_folders: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    path = tmp_path / "my study.db"
    server = serve_study(*arguments(study_folders, path))
    with browser(server.url.rstrip("/")) as client:
        join(client)
    assert server.end(sign) == 0
    assert f"photochrom study serve -o '{path}'" in server.said
    assert f"photochrom study report '{path}'" in server.said
    assert "Traceback" not in server.said and "14 photos; methods: ours" in server.said
    assert [p.name for p in tmp_path.iterdir()] == ["my study.db"]


def test_the_command_names_what_is_wrong(
    study: Study, study_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, ours = str(study_folders / "real"), str(study_folders / "ours")
    both = ["--real", real, "--fake", f"ours={ours}"]
    new, old = ["-o", str(tmp_path / "new.db")], ["-o", str(study.path)]
    for options, code, text in (
        ([*both[:3], "ours", *new], 2, "--fake ours: must be NAME=DIR"),
        ([*both[:3], "ours=", *new], 2, "--fake ours=: must be NAME=DIR"),
        ([*both[:2], *new], 2, "--real and --fake go together"),
        (new, 2, "no such study"),
        ([*both, *new], 1, "there are 14 pairs"),
        ([*both, *new, "--trials", "0"], 2, "--trials 0"),
        ([*both, *old], 1, "was started with the methods ours, calm, not ours"),
        ([*old, "--exposure", "2"], 1, "--exposure 1, not 2"),
        ([*old, "--host", "0.0.0.0"], 2, "--allow-network"),
    ):
        assert main(["study", "serve", "--port", "0", "--no-browser", *options]) == code
        error = capsys.readouterr().err
        assert text in error, error
    assert not (tmp_path / "new.db").exists()


def test_the_report_as_a_command(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "report", str(study.path)]) == 1
    assert "no counted answers yet" in capsys.readouterr().err
    who = study.join()
    while trial := study.next_trial(who):
        study.start(who, trial.token)
        study.answer(who, trial.token, "left", 200, 1000)
    out = [str(tmp_path / "report.json"), str(tmp_path / "answers.csv")]
    command = ["study", "report", str(study.path), "--all", "--json", out[0], "--csv", out[1]]
    assert main(command) == 0
    assert "ours" in capsys.readouterr().out
    assert json.loads(Path(out[0]).read_text())["participants"] == 1
    assert len(Path(out[1]).read_text().splitlines()) == 7
    assert main(command) == 1
    assert "report.json: already exists" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_without_the_extra_the_remedy_is_named() -> None:
    code = (
        "import sys\n"
        "sys.modules['fastapi'] = None\n"
        "from photochrom.cli.main import main\n"
        "sys.exit(main(['study', 'serve', '-o', 'x.db']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'photochrom[web]'" in done.stderr and "Traceback" not in done.stderr


def test_the_command_line_starts_without_the_web() -> None:
    code = (
        "import sys\n"
        "from photochrom.cli.main import parser_of\n"
        "import photochrom.study.study, photochrom.study.report\n"
        "parser_of(['study'])\n"
        "print(sorted({'fastapi', 'uvicorn', 'pydantic', 'pyvips', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
