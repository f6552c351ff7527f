"""Addresses outside the book: found on its pages, asked once, and told apart when they are dead."""

import http.server
import threading

import external
import pytest
from assemble import site


@pytest.fixture
def server():
    class Answers(http.server.BaseHTTPRequestHandler):
        asked = []

        def do_GET(self):
            self.asked.append(self.path)
            first = self.asked.count(self.path) == 1
            code = {"/there": 200, "/gone": 404, "/shy": 403, "/tired": 500 if first else 200}[self.path]
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", Answers.asked
        server.shutdown()


def test_addresses_are_found_without_their_fragments(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.html").write_text(
        '<a class="x" href="https://a.example/p?q=1&amp;r=2#part">a</a><a href="b.html#c">b</a><img '
        'src="https://c.example/x.png">'
    )
    (tmp_path / "b.html").write_text(
        '<a href="https://a.example/p?q=1&amp;r=2">a</a> <a href="http://d.example/">d</a>'
    )
    found = external.collect(tmp_path)
    assert found == {"http://d.example/": ["b.html"], "https://a.example/p?q=1&r=2": ["b.html", "book/a.html"]}
    external.write(tmp_path, tmp_path / "list.txt")
    assert (
        tmp_path / "list.txt"
    ).read_text() == "http://d.example/\tb.html\nhttps://a.example/p?q=1&r=2\tb.html book/a.html\n"


def test_dead_addresses_are_named_with_their_pages(server, capsys):
    base, asked = server
    addresses = {f"{base}/{name}": [f"{name}.html"] for name in ("there", "gone", "shy", "tired")}
    assert external.check(addresses, 5) == 1
    shown = capsys.readouterr()
    assert shown.out == "3 of 4 addresses answer\n"
    assert shown.err == f"{base}/gone: 404 Not Found; on gone.html\n"
    assert asked.count("/gone") == 2  # what fails is asked again
    assert external.check({f"{base}/there": ["a.html"]}, 5) == 0


def test_a_server_that_is_not_there_is_dead(capsys):
    assert external.check({"http://127.0.0.1:9/": ["a.html"]}, 5) == 1
    assert "refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("https://github.com/Someone/some-book", "https://someone.github.io/some-book/"),
        ("https://github.com/someone/some-book.git", "https://someone.github.io/some-book/"),
        ("https://github.com/someone/someone.github.io", "https://someone.github.io/"),
        ("https://git.example.org/a/b", ""),
    ],
)
def test_the_address_of_the_pages_follows_from_the_repositorys(repository, expected):
    assert site(repository) == expected
