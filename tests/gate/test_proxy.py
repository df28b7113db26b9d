# SPDX-License-Identifier: Apache-2.0
"""What of a message crosses the proxy, and which requests never reach an upstream."""

import asyncio
import gzip

import pytest

from pypow.errors import InvalidInputError
from pypow_server.fronts.fields import request_fields, response_fields
from pypow_server.fronts.proxy import Proxy
from pypow_server.scope import UPSTREAM_REACHED, Receive, Scope, Send
from support.asgi_client import Answer, call, http_scope
from support.proxying import failure, proxying
from support.raw_upstream import RawUpstream, raw_upstream
from support.serving import serving

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _through(
    answer: bytes,
    method: str = "GET",
    target: bytes = b"/",
    *,
    headers: tuple[tuple[bytes, bytes], ...] = ((b"host", b"gate.example"),),
    body: bytes = b"",
) -> tuple[Answer, RawUpstream]:
    async def story() -> tuple[Answer, RawUpstream]:
        async with raw_upstream(answer) as upstream, proxying(upstream.url) as proxy:
            got = await call(proxy, method, target, headers=headers, body=body)
            return got, upstream

    return asyncio.run(story())


def test_a_request_crosses_with_its_fields_and_nothing_invented() -> None:
    _, upstream = _through(
        _OK,
        headers=(
            (b"host", b"gate.example"),
            (b"mcp-session-id", b"7"),
            (b"cookie", b"b=1"),
            (b"cookie", b"a=2"),
            (b"accept", b"text/event-stream"),
            (b"x-name", "caf\u00e9".encode()),
        ),
    )
    assert upstream.lines() == [
        b"GET / HTTP/1.1",
        b"Host: " + upstream.url.removeprefix("http://").encode(),
        b"mcp-session-id: 7",
        b"cookie: b=1",
        b"cookie: a=2",
        b"accept: text/event-stream",
        b"x-name: caf\xc3\xa9",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-For: 192.0.2.7",
        b"X-Forwarded-Host: gate.example",
        b"Via: 1.1 pypow",
        b"X-PoW-Principal: ",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"connection", b"close, X-Private"),
        (b"x-private", b"named in Connection"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"proxy-authorization", b"Basic eA=="),
        (b"te", b"trailers"),
        (b"trailer", b"Expires"),
        (b"upgrade", b"h2c"),
        (b"expect", b"100-continue"),
        (b"forwarded", b"for=6.6.6.6"),
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"x-forwarded-port", b"66"),
        (b"x_forwarded_for", b"6.6.6.6"),
        (b"X-Forwarded-Proto", b"https-6"),
        (b"x-real-ip", b"6.6.6.6"),
        (b"x_real_ip", b"6.6.6.6"),
    ],
)
def test_fields_of_this_hop_and_claims_about_the_caller_end_here(name: bytes, value: bytes) -> None:
    received = (
        (b"host", b"gate.example"),
        (b"connection", b"close, X-Private"),
        (name, value),
        (b"accept", b"*/*"),
    )
    fields = request_fields(http_scope(headers=received))
    assert ("accept", "*/*") in fields
    assert value.decode() not in [text for _, text in fields]


@pytest.mark.parametrize(
    ("method", "headers", "body", "framing"),
    [
        ("GET", (), b"", []),
        ("HEAD", (), b"", []),
        ("POST", (), b"", [b"Content-Length: 0"]),
        ("POST", ((b"content-length", b"0"),), b"", [b"content-length: 0"]),
        ("POST", ((b"content-length", b"3"),), b"abc", [b"content-length: 3"]),
        ("GET", ((b"content-length", b"3"),), b"abc", [b"content-length: 3"]),
        ("PUT", ((b"transfer-encoding", b"chunked"),), b"abc", [b"Transfer-Encoding: chunked"]),
    ],
)
def test_a_body_is_framed_once_and_no_body_not_at_all(
    method: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes, framing: list[bytes]
) -> None:
    _, upstream = _through(_OK, method, headers=headers, body=body)
    lines = upstream.lines()
    starts = (b"content-length:", b"transfer-encoding:")
    assert [line for line in lines if line.lower().startswith(starts)] == framing


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"//double//slash",
        b"/a%2Fb%2fc",
        b"/%zz",
        b"/%e2%82%ac/%E2%82%AC",
        b"/a/../b/./c/%2e%2e",
        b'/"<>\\^`{|}[]:@;=,',
        b"/?",
        b"/?a=1&a=2&&b=%20+%2B&c",
        b"/x?//y?z=/?",
    ],
)
def test_the_target_is_forwarded_octet_for_octet(target: bytes) -> None:
    _, upstream = _through(_OK, target=target)
    # An empty query cannot be told from none in an ASGI scope.
    expected = target.removesuffix(b"?") if target == b"/?" else target
    assert upstream.lines()[0] == b"GET " + expected + b" HTTP/1.1"


def test_the_path_of_the_upstream_comes_first() -> None:
    async def story() -> None:
        async with raw_upstream(_OK) as upstream, proxying(upstream.url + "/base/") as proxy:
            await call(proxy, target=b"/x%2Fy?z")
            assert upstream.lines()[0] == b"GET /base/x%2Fy?z HTTP/1.1"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("GET", b"/a b", (), 400),
        ("GET", b"/a\r\nX: y", (), 400),
        ("GET", b"/a#b", (), 400),
        ("GET", b"/a?b#c", (), 400),
        ("GET", b"*", (), 400),
        ("GET", b"http://other.example/", (), 400),
        ("GET", b"/\xe2\x82\xac", (), 400),
        ("GET", b"/", ((b"x-name", b"caf\xe9"),), 400),
        ("GET", b"/", ((b"x-name", b"a\nb"),), 400),
        ("POST", b"/", ((b"content-length", b"3"), (b"transfer-encoding", b"chunked")), 400),
        ("POST", b"/", ((b"content-length", b"3"), (b"content-length", b"3")), 400),
        ("POST", b"/", ((b"transfer-encoding", b"gzip, chunked"),), 400),
        ("CONNECT", b"other.example:443", (), 501),
    ],
)
def test_what_two_servers_could_read_differently_reaches_no_upstream(
    method: str, target: bytes, headers: tuple[tuple[bytes, bytes], ...], status: int
) -> None:
    answer, upstream = _through(_OK, method, target, headers=headers, body=b"abc")
    assert answer.status == status
    assert b"\n" not in answer.body
    assert answer.scope[UPSTREAM_REACHED] is False
    assert upstream.heads == []


def test_an_answer_crosses_with_duplicates_and_without_fields_of_its_hop() -> None:
    answer, _ = _through(
        b"HTTP/1.1 207 Multi-Status\r\nSet-Cookie: a=1\r\nServer: up\r\nSet-Cookie: b=2\r\n"
        b"Connection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: Basic\r\nTransfer-Encoding: chunked\r\nTrailer: Expires\r\n"
        b"X-Accel-Buffering: no\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    assert answer.status == 207
    assert answer.body == b"ok"
    assert answer.headers == [
        (b"Set-Cookie", b"a=1"),
        (b"Server", b"up"),
        (b"Set-Cookie", b"b=2"),
        (b"X-Accel-Buffering", b"no"),
    ]


def test_the_date_is_the_servers_own_to_write() -> None:
    dated = b"HTTP/1.1 204 No Content\r\nDate: Tue, 28 Jul 2026 00:00:00 GMT\r\n\r\n"
    answer, _ = _through(dated)
    assert answer.values(b"date") == []


def test_a_compressed_answer_is_left_compressed() -> None:
    packed = gzip.compress(b"hello" * 100)
    answer, _ = _through(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        + packed
    )
    assert answer.body == packed
    assert answer.values(b"content-encoding") == [b"gzip"]
    assert answer.values(b"content-length") == [b"%d" % len(packed)]


def test_a_redirect_is_the_callers_to_follow() -> None:
    answer, _ = _through(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    )
    assert (answer.status, answer.values(b"location")) == (307, [b"/there"])


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("{upstream}/mcp/", "/mcp/"),
        ("{upstream}/mcp?a#b", "/mcp?a#b"),
        ("{upstream}//other.example", "{upstream}//other.example"),
        ("{upstream}/\\other.example", "{upstream}/\\other.example"),
        ("{upstream}1/x", "{upstream}1/x"),
        ("{upstream}.other.example/x", "{upstream}.other.example/x"),
        ("https://other.example/x", "https://other.example/x"),
        ("//other.example/x", "//other.example/x"),
    ],
)
@pytest.mark.parametrize("base", ["", "/base", "/base/"])
def test_a_redirect_to_the_upstream_leads_through_the_proxy(
    base: str, location: str, expected: str
) -> None:
    url = "http://127.0.0.1:8000" + base
    sent = [(b"Location", location.format(upstream=url.rstrip("/")).encode())]
    wanted = [(b"Location", expected.format(upstream=url.rstrip("/")).encode())]
    assert response_fields(307, sent, upstream=url) == wanted


def test_the_proxy_knows_its_own_upstream_in_a_redirect() -> None:
    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"])[b"host"]
        headers = [(b"location", b"http://" + host + scope["raw_path"] + b"/")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body"})

    async def story() -> list[bytes]:
        async with serving(upstream) as url, proxying(url) as proxy:
            return (await call(proxy, "POST", b"/mcp")).values(b"location")

    assert asyncio.run(story()) == [b"/mcp/"]


def test_an_answer_to_head_keeps_its_length_and_has_no_body() -> None:
    answer, _ = _through(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", "HEAD")
    assert (answer.values(b"content-length"), answer.body) == ([b"5000"], b"")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_promises_none(status: bytes) -> None:
    answer, _ = _through(b"HTTP/1.1 " + status + b"\r\nContent-Length: 9\r\nETag: x\r\n\r\n")
    assert (answer.headers, answer.body) == ([(b"ETag", b"x")], b"")


def test_interim_answers_are_not_taken_for_the_answer() -> None:
    answer, _ = _through(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + _OK)
    assert (answer.status, answer.body) == (200, b"ok")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://a.example",
        "http://",
        "http://a.example?x",
        "http://a.example/#x",
        "http://a.example:port",
        "",
    ],
)
def test_an_upstream_must_be_a_plain_url(url: str) -> None:
    with pytest.raises(InvalidInputError, match="write it like http"):
        Proxy(url, failure=failure)


def test_credentials_in_the_upstream_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInputError, match="with credentials") as caught:
        Proxy("http://user:hunter2@a.example", failure=failure)
    assert "hunter2" not in str(caught.value)
