"""The desk and its server: what is no answer of this study is refused, and nothing that was taken is lost."""
from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from soke.errors import UserError
from soke.storage import write_json
from soke.viewer.study.answers import LONGEST_LINE, AnsweredBefore, Answers, Refused, read_answer
from soke.viewer.study.key import ANSWERS, KEY, SITE, Key
from soke.viewer.study.plan import Detail
from soke.viewer.study.serve import COLLECTS, Bucket, Desk, Rates, Server, TooFast
from tests.viewer.study.making import EVERY, answered, fake_key, plan_of, start

ANYTHING = Rates((1e6, 1e6), (1e6, 1e6), (1e6, 1e6))
PERSON = f"{7:032x}"


@pytest.fixture(scope="module")
def key() -> Key:
    about = [Detail("hearing", EVERY, {"deaf": EVERY, "hearing": EVERY}), Detail("years", EVERY)]
    return fake_key(plan_of(about=about, comprehend="write"))


def judge(item, question):
    return {"prefer": 0, "rate": 3, "comprehend": "it rains"}[item["task"]]


@pytest.fixture
def form(key: Key) -> list[dict]:
    """All answers of one participant."""
    return answered(key, 7, 1, judge)


def item_of(key: Key, form: list[dict], task: str) -> dict:
    return next(r for r in form if r["item"] != "start" and key.items[r["item"]]["task"] == task)


def test_all_answers_of_a_page_are_taken_as_they_are(key, form, tmp_path):
    desk = Desk(key, tmp_path / ANSWERS, ANYTHING)
    for record in form:
        desk.take(json.dumps(record).encode())
    desk.close()
    kept = [json.loads(line) for line in (tmp_path / ANSWERS).read_text().splitlines()]
    assert kept == form and len(form) == 1 + len(key.content["forms"][1])


@pytest.mark.parametrize(
    "task, change, reason",
    [
        ("rate", {"plan": "0123456789ab"}, "another plan"),
        ("rate", {"participant": "../../etc/passwd"}, "32 hex digits"),
        ("rate", {"participant": 7}, "32 hex digits"),
        ("rate", {"form": 4}, "no such form"),
        ("rate", {"form": -1}, "no such form"),
        ("rate", {"form": True}, "no such form"),
        ("rate", {"item": 9999}, "no such item"),
        ("rate", {"item": -1}, "no such item"),
        ("rate", {"item": "0"}, "no such item"),
        ("rate", {"item": [0]}, "no such item"),
        ("rate", {"item": 1.0}, "no such item"),
        ("rate", {"seconds": -1}, "no time"),
        ("rate", {"seconds": 1e9}, "no time"),
        ("rate", {"seconds": "1"}, "no time"),
        ("rate", {"address": "127.0.0.1"}, "not the fields"),
        ("rate", {"answers": []}, "no table"),
        ("rate", {"answers": {}}, "not all of the item's questions"),
        ("rate", {"answers": {"grammar": 3, "fidelity": 5}}, "0, 1, 2, 3 or 4"),
        ("rate", {"answers": {"grammar": 3, "fidelity": True}}, "0, 1, 2, 3 or 4"),
        ("rate", {"answers": {"grammar": 3, "fidelity": 3, "beauty": 3}}, "or others"),
        ("rate", {"answers": {"skipped": 1}}, "not all"),
        ("prefer", {"answers": {"overall": "A", "face": "C"}}, "A, B or same"),
        ("prefer", {"answers": {"overall": "A", "face": ["A"]}}, "A, B or same"),
        ("comprehend", {"answers": {"text": 3}}, "no text"),
        ("comprehend", {"answers": {"text": "a" * 1001}}, "no text"),
        ("comprehend", {"answers": {"text": "zero \x00"}}, "no text"),
        ("comprehend", {"answers": {"text": "half \ud800"}}, "no text"),
        ("comprehend", {"answers": {"choice": 0}}, "no text"),
        ("start", {"answers": {"consent": False, "about": {}}}, "no consent"),
        ("start", {"answers": {"consent": 1, "about": {}}}, "no consent"),
        ("start", {"answers": {"consent": True, "about": {"hearing": "other"}}}, "no such option"),
        ("start", {"answers": {"consent": True, "about": {"hearing": ["deaf"]}}}, "no such option"),
        ("start", {"answers": {"consent": True, "about": {"name": "me"}}}, "nobody asked"),
        ("start", {"answers": {"consent": True, "about": {"years": "9" * 201}}}, "no text"),
    ],
)
def test_what_no_page_sends_is_refused(key, form, task, change, reason):
    record = form[0] if task == "start" else item_of(key, form, task)
    assert read_answer(json.dumps(record), key).item == record["item"]
    with pytest.raises(Refused, match=reason):
        read_answer(json.dumps(record | change), key)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"null", b"[]", b"{", b"[" * 10000, b'{"plan": NaN}', b"<script>", b"1" * 5000, b"a" * (LONGEST_LINE + 1)]
)
def test_what_is_no_json_is_refused(key, data):
    with pytest.raises(Refused):
        read_answer(data, key)


def test_a_name_that_comes_twice_is_refused(key, form):
    data = json.dumps(form[0])
    with pytest.raises(Refused, match="twice"):
        read_answer(data[:-1] + ', "form": 1}', key)


def test_answers_need_consent_and_are_given_once_and_in_one_form(key, form, tmp_path):
    desk = Desk(key, tmp_path / ANSWERS, ANYTHING)
    with pytest.raises(Refused, match="no consent"):
        desk.take(json.dumps(form[1]).encode())
    desk.take(json.dumps(form[0]).encode())
    desk.take(json.dumps(form[1]).encode())
    for again in (form[0], form[1], form[1] | {"seconds": 2.5}):
        with pytest.raises(AnsweredBefore):
            desk.take(json.dumps(again).encode())
    shown_to_all = item_of(key, form, "rate")
    with pytest.raises(Refused, match="another form"):
        desk.take(json.dumps(shown_to_all | {"form": 2}).encode())
    desk.close()
    assert len((tmp_path / ANSWERS).read_text().splitlines()) == 2


def test_markup_is_kept_as_the_text_that_it_is(key, form, tmp_path):
    text = '<img src=x onerror="alert(1)"></script>"\n, {"plan": 1} é 手语 \u2028'
    desk = Desk(key, tmp_path / ANSWERS, ANYTHING)
    desk.take(json.dumps(form[0]).encode())
    record = item_of(key, form, "comprehend") | {"answers": {"text": text}}
    desk.take(json.dumps(record).encode())
    desk.close()
    lines = (tmp_path / ANSWERS).read_bytes().splitlines()
    assert len(lines) == 2 and json.loads(lines[1])["answers"] == {"text": text}


def test_a_desk_goes_on_after_a_power_cut_and_knows_what_was_answered(key, form, tmp_path):
    path = tmp_path / ANSWERS
    desk = Desk(key, path, ANYTHING)
    for record in form[:3]:
        desk.take(json.dumps(record).encode())
    with pytest.raises(UserError, match="another process serves this study"):
        Desk(key, path)
    desk.close()
    with path.open("a") as file:
        file.write('{"plan": "broken o')
    desk = Desk(key, path, ANYTHING)
    with pytest.raises(AnsweredBefore):
        desk.take(json.dumps(form[2]).encode())
    desk.take(json.dumps(form[3]).encode())
    desk.close()
    answers = Answers(key)
    answers.read(path)
    assert len(answers.kept) == 4 and len(answers.refused) == 1 and "line 4" in answers.refused[0]


def test_a_full_disk_leaves_no_half_line_and_the_answer_can_come_again(key, form, tmp_path, monkeypatch):
    desk = Desk(key, tmp_path / ANSWERS, ANYTHING)
    desk.take(json.dumps(form[0]).encode())
    before = (tmp_path / ANSWERS).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError):
            desk.take(json.dumps(form[1]).encode())
    assert (tmp_path / ANSWERS).read_bytes() == before
    desk.take(json.dumps(form[1]).encode())
    desk.close()


def test_a_bucket_lets_its_burst_pass_and_then_its_rate():
    now = [0.0]
    bucket = Bucket(rate=2.0, burst=3.0, clock=lambda: now[0])
    assert [bucket.passes() for _ in range(5)] == [True, True, True, False, False]
    now[0] = 0.5
    assert [bucket.passes() for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert sum(bucket.passes() for _ in range(9)) == 3


def test_who_is_faster_than_people_waits_and_others_do_not(key, tmp_path):
    now = [0.0]
    rates = Rates((1e6, 1e6), (1.0, 3.0), (1.0, 2.0))
    desk = Desk(key, tmp_path / ANSWERS, rates, clock=lambda: now[0])
    mine, yours = answered(key, 1, 1, judge), answered(key, 2, 2, judge)
    for record in (mine[0], yours[0], mine[1], mine[2]):
        desk.take(json.dumps(record).encode())
    with pytest.raises(TooFast):
        desk.take(json.dumps(mine[3]).encode())
    desk.take(json.dumps(yours[1]).encode())
    now[0] = 1.0
    desk.take(json.dumps(mine[3]).encode())
    desk.take(json.dumps(start(key, f"{3:032x}", 0)).encode())
    with pytest.raises(TooFast):
        for number in range(4, 20):
            desk.take(json.dumps(start(key, f"{number:032x}", 0)).encode())
    desk.close()


def test_the_file_does_not_grow_without_end(key, tmp_path):
    desk = Desk(key, tmp_path / ANSWERS, ANYTHING)
    with pytest.raises(Refused, match="all its participants"):
        for number in range(20 * len(key.forms) + 1):
            desk.take(json.dumps(start(key, f"{number:032x}", 0)).encode())
    desk.close()
    assert len((tmp_path / ANSWERS).read_text().splitlines()) == 20 * len(key.forms)


@pytest.fixture
def study(key: Key, tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    (folder / SITE / "videos").mkdir(parents=True)
    (folder / SITE / "index.html").write_text("<!doctype html>page")
    (folder / SITE / "collects.js").write_text("window.STUDY_COLLECTS = false;")
    (folder / SITE / "videos" / "0000.mp4").write_bytes(bytes(range(200)))
    write_json(folder / KEY, key.content)
    return folder


@pytest.fixture
def server(study: Path) -> Iterator[Server]:
    server = Server(study, port=0, rates=ANYTHING)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(server: Server, method: str, path: str, body=None, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, names)
    response = connection.getresponse()
    response.data = response.read()
    connection.close()
    return response


def test_it_listens_on_this_machine_alone_unless_told_otherwise(server):
    assert server.server_address[0] == "127.0.0.1"


def test_pages_and_ranges_of_videos_are_served(server):
    page = ask(server, "GET", "/?participant=3")
    assert page.status == 200 and page.data == b"<!doctype html>page" and page.headers.get_content_type() == "text/html"
    assert "default-src 'self'" in page.headers["Content-Security-Policy"] and "Set-Cookie" not in page.headers
    assert ask(server, "GET", "/collects.js").data == COLLECTS
    whole = ask(server, "GET", "/videos/0000.mp4")
    assert whole.data == bytes(range(200)) and whole.headers["Content-Type"] == "video/mp4"
    for asked, first, last in (("bytes=0-1", 0, 1), ("bytes=190-", 190, 199), ("bytes=-5", 195, 199), ("bytes=5-999", 5, 199)):
        part = ask(server, "GET", "/videos/0000.mp4", Range=asked)
        assert part.status == 206 and part.data == bytes(range(first, last + 1))
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/200"
    assert ask(server, "GET", "/videos/0000.mp4", Range="bytes=200-").status == 416
    assert ask(server, "GET", "/videos/0000.mp4", Range="bytes=x").data == bytes(range(200))
    head = ask(server, "HEAD", "/videos/0000.mp4")
    assert head.status == 200 and head.data == b"" and head.headers["Content-Length"] == "200"


@pytest.mark.parametrize(
    "path",
    [
        "/key.json", "/../key.json", "/videos/../../key.json", "/%2e%2e/key.json", "/..%2fkey.json", "//etc/passwd",
        "/answers.jsonl", "/../answers.jsonl", "/videos/", "/videos", "/%00", "/etc/passwd", "/index.html/..", "//[", "/\\..\\key.json",
    ],
)
def test_nothing_but_the_pages_is_there(server, path):
    response = ask(server, "GET", path)
    assert response.status == 404 and b"plan" not in response.data


def test_answers_are_taken_and_others_refused_and_nothing_is_lost(server, study, form):
    def post(data, path="/answers", kind="application/json"):
        return ask(server, "POST", path, data, Content_Type=kind).status

    given = [json.dumps(record).encode() for record in form]
    assert post(given[0]) == 201 and post(given[1]) == 201
    before = (study / ANSWERS).read_bytes()
    assert post(given[1]) == 409
    assert post(json.dumps(form[2] | {"plan": "0" * 12}).encode()) == 400
    assert post(b"{") == 400 and post(b"") == 400
    assert post(given[2], kind="text/plain") == 415  # what other sites' pages can send without asking
    assert post(given[2], path="/answers/../answers.jsonl") == 404
    assert ask(server, "PUT", "/answers", given[2]).status == 501
    assert (study / ANSWERS).read_bytes() == before
    assert post(given[2]) == 201
    assert [json.loads(line) for line in (study / ANSWERS).read_text().splitlines()] == form[:3]
    assert "127.0.0.1" not in (study / ANSWERS).read_text()


@pytest.mark.parametrize("length, status", [("99999999", 413), ("16385", 413), ("9" * 30, 413), ("-1", 411), ("x", 411), ("²", 411)])
def test_huge_answers_and_lengths_that_are_none_are_refused_before_they_are_read(server, length, status):
    with socket.create_connection(server.server_address[:2], timeout=10) as connection:
        head = f"POST /answers HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(f"HTTP/1.1 {status} ".encode())


def test_many_at_once_make_whole_lines(server, study, key):
    people = [answered(key, number, number % 4, judge) for number in range(1, 9)]

    def send(records):
        for record in records:
            assert ask(server, "POST", "/answers", json.dumps(record), Content_Type="application/json").status == 201

    threads = [threading.Thread(target=send, args=(records,)) for records in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [json.loads(line) for line in (study / ANSWERS).read_text().splitlines()]
    def in_order(records):
        return sorted(json.dumps(record, sort_keys=True) for record in records)

    assert in_order(kept) == in_order(record for records in people for record in records)


def test_a_silent_connection_keeps_nobody_waiting(server, form):
    with socket.create_connection(server.server_address[:2]) as silent:
        silent.sendall(b"POST /answers HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        begun = time.monotonic()
        assert ask(server, "POST", "/answers", json.dumps(form[0]), Content_Type="application/json").status == 201
        assert time.monotonic() - begun < 5
    assert ask(server, "GET", "/").status == 200


def test_an_address_that_is_taken_is_one_sentence(server, study, tmp_path, key):
    other = tmp_path / "other"
    (other / SITE).mkdir(parents=True)
    write_json(other / KEY, key.content)
    with pytest.raises(UserError, match="choose another --host or --port"):
        Server(other, port=server.server_address[1])
    with pytest.raises(UserError, match="name the folder that `make` has written"):
        Server(tmp_path / "nowhere")
