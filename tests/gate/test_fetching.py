# SPDX-License-Identifier: Apache-2.0
"""Fetching cannot be sent where nobody outside should reach, and does not take what it gets."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from pypow_server.identity import fetching
from pypow_server.identity.addresses import is_loopback, is_public
from pypow_server.identity.fetching import Fetcher, FetchError, Reach
from support.token_issuer import TokenIssuer, issuing

HERE = Reach(near_hosts=frozenset(("127.0.0.1",)))

NEAR = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
    "192.88.99.1", "192.168.0.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1", "100::1", "2001::7f00:1", "2001:db8::1", "2002:7f00:1::1", "3fff::1",
    "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", NEAR)
def test_an_address_that_is_near_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_net_is(address: str) -> None:
    assert is_public(ip_address(address))


def test_names_of_this_machine_are_known() -> None:
    names = ("localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")
    assert all(is_loopback(name) for name in names)
    assert not any(is_loopback(name) for name in ("localhost.example", "10.0.0.1", "128.0.0.1"))


class Names(AbstractResolver):
    """Answers with one address after the other."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=family, proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses.pop(0).split()
        ]  # fmt: skip

    async def close(self) -> None:
        pass


async def fault(
    url: str, reach: Reach | None = None, *, names: AbstractResolver | None = None
) -> str:
    """Why nothing is got; the test fails if something is."""
    fetcher = Fetcher(reach, resolver=None if names is None else lambda: names)
    try:
        with pytest.raises(FetchError) as caught:
            await fetcher.get(url)
    finally:
        await fetcher.aclose()
    return str(caught.value)


@pytest.mark.parametrize("address", NEAR)
def test_no_address_that_is_near_is_asked(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert "no host of the public net" in asyncio.run(fault(f"https://{host}/keys"))


@pytest.mark.parametrize("address", [*NEAR, f"1.1.1.1 {NEAR[0]}", f"{NEAR[1]} 8.8.8.8"])
def test_no_name_is_asked_that_stands_for_an_address_that_is_near(address: str) -> None:
    async def play() -> None:
        names = Names(address)
        said = await fault("https://keys.example/keys", names=names)
        assert said.startswith("keys.example is no host of the public net")
        assert names.asked == ["keys.example"]

    asyncio.run(play())


@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example/", "http://127.0.0.1/", "ftp://keys.example/", "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO", "//keys.example/", "/keys", "", "https://", "https:///x",
        "https://user@keys.example/", "https://user:secret@keys.example/",
        "https://keys.example/#x", "https://keys.example\\@evil.example/", "https://keys.example /",
        "https://keys.example/\r\nX: y", "https://кeys.example/", "https://keys.example./",
        "https://127.0.0.1./", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
        "https://0177.0.0.1/", "https://127.0.0.0x1/", 'https://[::ffff":7f00:1]/',
        "https://a%2eb/", "https://a_b.2x/", "https://.a.example/", "https://a..example/",
        "https://a;b/", "https://a.example:x/", "https://[::1%25lo]/", "https://[::1/",
        "https://keys.example:99999/", "https://keys.example/" + "x" * 2048, "data:,x",
    ],
)  # fmt: skip
def test_a_url_that_means_something_else_is_not_asked(url: str) -> None:
    async def play() -> None:
        names = Names()
        said = await fault(url, names=names)
        assert "expected" in said or "no host of the public net" in said
        assert "secret" not in said
        assert names.asked == []

    asyncio.run(play())


def test_plain_http_is_for_this_machine_alone_even_if_another_is_named() -> None:
    reach = Reach(near_hosts=frozenset(("10.0.0.1", "keys.internal")))
    for url in ("http://10.0.0.1/", "http://keys.internal/"):
        assert "expected an https URL" in asyncio.run(fault(url, reach))


def test_a_name_that_changes_its_address_is_asked_at_the_one_that_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    """What a name stands for is looked at, and that is where the connection goes."""
    monkeypatch.setattr(fetching, "is_public", lambda address: str(address) == "127.0.0.1")

    async def play() -> None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
        async with issuing(tls=tls) as issuer:
            port = issuer.url.rpartition(":")[2]
            names = Names("127.0.0.1", "127.0.0.2")
            fetcher = Fetcher(Reach(ca_file=certificate), resolver=lambda: names)
            url = f"https://keys.example:{port}/.well-known/oauth-authorization-server"
            issuer.instead["/.well-known/oauth-authorization-server"] = _closing({"a": 1})
            assert await fetcher.get(url) == {"a": 1}
            assert names.asked == ["keys.example"]
            with pytest.raises(FetchError, match="no host of the public net"):
                await fetcher.get(url)
            await fetcher.aclose()
            assert sum(issuer.asked.values()) == 1

    asyncio.run(play())


def test_a_certificate_of_nobody_or_for_another_name_is_not_believed(certificate: Path) -> None:
    async def play() -> None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
        near = frozenset(("127.0.0.1", "other.example"))
        async with issuing(tls=tls) as issuer:
            port = issuer.url.rpartition(":")[2]
            said = await fault(f"{issuer.url}/keys", Reach(near))
            assert "ClientConnectorCertificateError" in said
            other = f"https://other.example:{port}/keys"
            said = await fault(other, Reach(near, certificate), names=Names("127.0.0.1"))
            assert "ClientConnectorCertificateError" in said
            assert not issuer.asked

    asyncio.run(play())


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Made out to keys.example, by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=keys.example"),
            *("-addext", "subjectAltName=DNS:keys.example"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    return tmp_path / "cert.pem"


Answers = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _closing(document: object) -> Answers:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(document, headers={"Connection": "close"})

    return answer


def _answering(**what: object) -> Answers:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(**what)  # type: ignore[arg-type]

    return answer


async def _endless(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


async def _silent(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


JSON = "application/json"
ANSWERS: dict[str, tuple[Answers, str]] = {
    "a redirect": (
        _answering(status=302, headers={"Location": "http://169.254.169.254/"}), "answered 302",
    ),
    "a redirect that has a body": (
        _answering(status=307, headers={"Location": "/keys"}, text="{}", content_type=JSON),
        "answered 307",
    ),
    "a fault": (_answering(status=500), "answered 500"),
    "nothing": (_answering(status=204), "answered 204"),
    "a page": (_answering(text="{}", content_type="text/html"), "'text/html'"),
    "no kind": (_answering(body=b"{}"), "'application/octet-stream'"),
    "broken JSON": (_answering(text="{", content_type=JSON), "broken JSON"),
    "a member twice": (_answering(text='{"a":1,"a":2}', content_type=JSON), "repeated keys"),
    "an array": (_answering(text="[]", content_type=JSON), "an array, where an object"),
    "a packed answer": (
        _answering(body=b"x", content_type=JSON, headers={"Content-Encoding": "gzip"}), "packed",
    ),
    "too much": (_answering(text='"' + "x" * 300_000 + '"', content_type=JSON), "more than 262144"),
    "no end": (_endless, "more than 262144"),
    "deep nesting": (_answering(text="[" * 100_000, content_type=JSON), "broken JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_no_json_object_is_not_taken(name: str) -> None:
    answer, reason = ANSWERS[name]

    async def play(issuer: TokenIssuer) -> None:
        issuer.instead["/keys"] = answer
        assert reason in await fault(f"{issuer.url}/keys", HERE)
        assert issuer.asked == {"/keys": 1}

    asyncio.run(_with_issuer(play))


async def _with_issuer(play: Callable[[TokenIssuer], Awaitable[None]]) -> None:
    async with issuing() as issuer:
        await play(issuer)


def test_an_answer_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "DEADLINE_S", 0.05)

    async def play(issuer: TokenIssuer) -> None:
        issuer.instead["/keys"] = _silent
        assert "did not answer within 0.05 s" in await fault(f"{issuer.url}/keys", HERE)

    asyncio.run(_with_issuer(play))


def test_nobody_there_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = asyncio.run(fault(f"http://127.0.0.1:{port}/keys", HERE))
    assert said == "127.0.0.1 cannot be asked (ClientConnectorError)"


def test_no_cookie_goes_back_and_no_proxy_of_the_environment_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    seen: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers.get("Cookie", ""))
        return web.json_response({}, headers={"Set-Cookie": "a=b"})

    async def play(issuer: TokenIssuer) -> None:
        issuer.instead["/keys"] = answer
        fetcher = Fetcher(HERE)
        for _ in range(2):
            assert await fetcher.get(f"{issuer.url}/keys") == {}
        await fetcher.aclose()
        assert seen == ["", ""]

    asyncio.run(_with_issuer(play))


def test_kinds_of_json_are_json() -> None:
    async def play(issuer: TokenIssuer) -> None:
        issuer.instead["/keys"] = _answering(text="{}", content_type="application/jwk-set+json")
        fetcher = Fetcher(HERE)
        assert await fetcher.get(f"{issuer.url}/keys") == {}
        await fetcher.aclose()

    asyncio.run(_with_issuer(play))


class _LooksAtNoAddress(fetching._PublicAddresses):
    """A wrong twin."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await self._found_by.resolve(host, port, family)


def test_a_fetcher_that_looks_at_no_address_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PublicAddresses", _LooksAtNoAddress)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"https://keys.example:{port}/"
    assert "public" not in asyncio.run(fault(url, names=Names("127.0.0.1")))


def test_names_are_looked_up_in_threads_that_nobody_else_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[str] = []

    def unanswered(*_: object, **__: object) -> object:
        threads.append(threading.current_thread().name)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    async def asked() -> None:
        fetcher = Fetcher()
        try:
            with pytest.raises(FetchError, match=r"slow\.example cannot be asked"):
                await fetcher.get("https://slow.example/client")
        finally:
            await fetcher.aclose()

    monkeypatch.setattr(socket, "getaddrinfo", unanswered)
    asyncio.run(asked())
    assert threads
    assert all(name.startswith("pypow-names") for name in threads)
