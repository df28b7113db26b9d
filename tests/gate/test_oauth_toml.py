# SPDX-License-Identifier: Apache-2.0
"""Logins in the policy file: what each key does, and one line with the fix for what cannot be."""

from dataclasses import replace
from pathlib import Path

import pytest

from pypow import InvalidInputError
from pypow_server.logins import Logins, TrustedIssuer
from pypow_server.price import WORK, Ways
from pypow_server.pypow_toml import read
from pypow_server.settings import Settings
from pypow_server.stores import Quota

ISSUER = '[[oauth.issuer]]\nissuer = "https://login.example.com/"\n'
PUBLIC = '[gate]\npublic_url = "https://mcp.example"\n'
WALLET = '[l402]\nwallet = "development:"\n'
ASKED = (
    '[[oauth.issuer]]\nissuer = "https://login.example.com"\nkind = "introspection"\n'
    'client_id = "gate"\nclient_secret_env = "SECRET"\n'
)


def logins(text: str) -> Logins:
    found = read(text).rows.logins
    assert found is not None
    return found


def settings(tmp_path: Path, text: str, **explicit: str) -> Settings:
    path = tmp_path / "pypow.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.from_env({"HOME": "/srv/gate", "PYPOW_CONFIG": str(path)}, explicit)


# Key of an issuer: what the file says, and what comes of it.
SAID = {
    "issuer": ('"https://a.example"', "url", "https://a.example"),
    "audience": ('"https://mcp.example"', "audiences", ("https://mcp.example",)),
    "kind": ('"jwt"', "kind", "jwt"),
    "algorithms": ('["ES256"]', "algorithms", ("ES256",)),
    "jwks_uri": ('"https://a.example/keys"', "jwks_uri", "https://a.example/keys"),
    "accept_untyped": ("true", "accept_untyped", True),
    "skew": ('"5s"', "skew_s", 5),
    "private_network": ("true", "near", True),
}


@pytest.mark.parametrize("key", SAID)
def test_an_issuer_is_what_its_keys_say(key: str) -> None:
    written, name, value = SAID[key]
    issuer = "" if key == "issuer" else 'issuer = "https://a.example"\n'
    (found,) = logins(f"[[oauth.issuer]]\n{issuer}{key} = {written}\n").issuers
    assert getattr(found, name) == value


def test_an_issuer_that_is_asked_is_asked_by_somebody() -> None:
    (found,) = logins(ASKED + 'introspection_endpoint = "https://login.example.com/ask"\n').issuers
    assert (found.kind, found.client_id, found.secret_env, found.endpoint) == (
        "introspection", "gate", "SECRET", "https://login.example.com/ask",
    )  # fmt: skip
    by_file = ASKED.replace('client_secret_env = "SECRET"', 'client_secret_file = "/srv/secret"')
    assert logins(by_file).issuers[0].secret_file == Path("/srv/secret")
    assert "/srv/secret" not in repr(logins(by_file))


def test_several_audiences_and_issuers_may_be_trusted() -> None:
    found = logins(
        f'{ISSUER}audience = ["a", "b"]\n[[oauth.issuer]]\nissuer = "https://two.example"\n'
    )
    assert [issuer.audiences for issuer in found.issuers] == [("a", "b"), ()]


def test_tokens_stay_here_and_a_login_is_not_asked_first_unless_the_file_says_so() -> None:
    plain = logins(ISSUER)
    assert (plain.forwards_tokens, plain.asks_first, plain.resource) == (False, False, None)
    assert not plain.dpop_nonces
    told = logins(
        '[gate]\nentry = "oauth"\n[oauth]\nforward_token = true\ndpop_nonces = true\n'
        f'resource = "https://mcp.example/a/"\n{ISSUER}'
    )
    assert (told.forwards_tokens, told.asks_first, told.dpop_nonces) == (True, True, True)
    assert told.resource == "https://mcp.example/a"


@pytest.mark.parametrize(
    ("row", "ways"),
    [
        ("bits = 16", WORK),
        ("bits = 16\nsats = 5", WORK),
        ('scope = "b a"', Ways(frozenset("ab"), login=True, takes_work=False)),
        ('bits = 16\nscope = "a"', Ways(frozenset("a"))),
        ('sats = 5\nscope = "a"', Ways(frozenset("a"), takes_work=False)),
        ('bits = 16\nscope = "a"\nrequire = ["oauth"]', Ways(frozenset("a"), login=True)),
        ('bits = 16\nscope = "a"\nrequire = ["oauth", "work"]', Ways(frozenset("a"), login=True)),
        (
            'sats = 5\nscope = "a"\nrequire = ["oauth", "l402"]',
            Ways(frozenset("a"), login=True, takes_work=False),
        ),
        ('sats = 5\nrequire = ["l402"]', Ways(takes_work=False)),
        ('bits = 16\nrequire = ["work"]', WORK),
    ],
)
def test_a_price_says_which_rails_let_a_call_in(row: str, ways: Ways) -> None:
    found = read(f'{WALLET}{ISSUER}[[price]]\nmatch = "a"\n{row}\n').rows
    assert found.prices[0].ways == ways
    if "require" not in row and "sats" not in row:
        default = read(f"{ISSUER}[default]\n{row}\n").rows
        assert default.default_ways == ways


def test_who_signs_in_may_have_other_calls_free_than_everybody(tmp_path: Path) -> None:
    row = 'bits = 8\nscope = "a"\nlogin_free = "600/60s"'
    text = f'{PUBLIC}{ISSUER}[default]\n{row}\n[[price]]\nmatch = "b"\n{row}\nfree = "5/60s"\n'
    policy = settings(tmp_path, text).policy
    row_price = policy.entries[0].price
    assert row_price is not None
    for price, free in ((policy.default, None), (row_price, Quota(5, 60_000))):
        assert (price.free, price.signed_in.free) == (free, Quota(600, 60_000))
    assert policy.dearest.signed_in is policy.dearest


def test_the_default_price_may_be_a_login(tmp_path: Path) -> None:
    text = f'[gate]\npublic_url = "https://mcp.example"\n{ISSUER}[default]\nscope = "tools"\n'
    policy = settings(tmp_path, text).policy
    assert (policy.default.login, policy.default.is_sold) == (True, False)
    assert (policy.takes_tokens, policy.forwards_tokens, policy.asks_login_first) == (
        True, False, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "resource"),
    [
        ('[gate]\npublic_url = "https://mcp.example/"\n', "https://mcp.example/mcp"),
        (
            '[gate]\npublic_url = "https://mcp.example"\nmcp_paths = ["/a", "/b"]\n',
            "https://mcp.example",
        ),
        ('[gate]\npublic_url = "https://api.example"\nmcp_paths = []\n', "https://api.example"),
        ('[gate]\npublic_url = "http://127.0.0.1:8402"\n', "http://127.0.0.1:8402/mcp"),
        ('[oauth]\nresource = "https://mcp.example/x"\n', "https://mcp.example/x"),
        ('[gate]\npublic_url = "https://mcp.example/mcp"\n', "https://mcp.example/mcp"),
    ],
)
def test_tokens_are_for_the_gate_as_its_callers_know_it(
    said: str, resource: str, tmp_path: Path
) -> None:
    assert settings(tmp_path, said + ISSUER).resource == resource


def test_a_slash_at_the_end_of_a_url_without_path_tells_no_two_audiences_apart() -> None:
    issuer = TrustedIssuer("https://login.example")
    assert issuer.trusted("https://a.example").audiences == {
        "https://a.example", "https://a.example/",
    }  # fmt: skip
    assert issuer.trusted("https://a.example/mcp").audiences == {"https://a.example/mcp"}
    named = replace(issuer, audiences=("https://a.example",))
    assert named.trusted("https://a.example").audiences == {"https://a.example"}


WRONG = {
    "no name that tokens could be for": (ISSUER, "oauth: expected gate.public_url where"),
    "a gate in clear text": (
        f'[gate]\npublic_url = "http://mcp.example"\n{ISSUER}',
        "oauth: expected an https:// URL that tokens are for",
    ),
    "an issuer in clear text": (
        '[[oauth.issuer]]\nissuer = "http://login.example"\n',
        "line 1: oauth.issuer[1]: .*http://login.example.*use https",
    ),
    "an issuer that is no URL": (
        '[[oauth.issuer]]\nissuer = "login"\n',
        "line 1: oauth.issuer[1]: an issuer: expected a whole URL .*write it whole",
    ),
    "keys in clear text": (
        f'{ISSUER}jwks_uri = "http://login.example/keys"\n',
        "line 1: oauth.issuer[1]: .*http://login.example/keys.*use https",
    ),
    "a shared secret": (f'{ISSUER}algorithms = ["HS256"]\n', "oauth.issuer[1]: .*HS256"),
    "no signature": (f'{ISSUER}algorithms = ["none"]\n', "oauth.issuer[1]: .*none"),
    "a clock that is an hour off": (f'{ISSUER}skew = "1h"\n', "oauth.issuer[1]: .*skew of 3600"),
    "an issuer twice": (
        f"{ISSUER}{ISSUER}",
        "oauth: expected each issuer once, got https://login.example.com/ twice; remove one",
    ),
    "two that would be asked": (
        ASKED + ASKED.replace("login", "other"),
        'oauth: expected kind = "introspection" of one issuer',
    ),
    "one that is asked by nobody": (
        f'{ISSUER}kind = "introspection"\n',
        "oauth.issuer[1]: expected client_id, and client_secret_file or client_secret_env",
    ),
    "two secrets": (
        f'{ASKED}client_secret_file = "/x"\n',
        "oauth.issuer[1]: expected client_id, and client_secret_file or client_secret_env",
    ),
    "a secret that nobody asks for": (
        f'{ISSUER}client_id = "gate"\n',
        'oauth.issuer[1]: expected kind = "introspection" beside',
    ),
    "another kind": (
        f'{ISSUER}kind = "magic"\n',
        'line 3: oauth.issuer[1].kind: expected "jwt" or "introspection", got',
    ),
    "an unknown key of the second issuer": (
        f'{ISSUER}[[oauth.issuer]]\nissuer = "https://b.example"\naudiences = "x"\n',
        "line 5: oauth.issuer[2].audiences: there is no such key; did you mean audience?",
    ),
    "an unknown key": ("[oauth]\nissuers = 1\n", "line 2: oauth.issuers: .*did you mean issuer?"),
    "settings without an issuer": (
        "[oauth]\nforward_token = true\n",
        "line 1: oauth: expected [[oauth.issuer]] beside it",
    ),
    "a login first without one": (
        '[gate]\nentry = "oauth"\n',
        "line 2: gate.entry: expected [[oauth.issuer]] beside it",
    ),
    "a resource that is none": (
        f'[oauth]\nresource = "mcp"\n{ISSUER}',
        "oauth: expected a URL without query that tokens are for",
    ),
    "a scheme of two": (
        f'{WALLET}[gate]\npass_authorization = ["bearer"]\n{ISSUER}',
        "line 4: gate.pass_authorization: .*oauth.forward_token = true passes them on",
    ),
    "a scope without an issuer": (
        '[default]\nscope = "a"\n',
        "line 2: default.scope: expected [[oauth.issuer]] beside it",
    ),
    "a scope that is none": (
        f'{ISSUER}[default]\nscope = "a  b"\n',
        "line 4: default.scope: expected scopes of access tokens with one space",
    ),
    "a login with any scope": (
        f'{ISSUER}[default]\nrequire = ["oauth"]\n',
        "line 4: default.require: expected scope beside",
    ),
    "two payments": (
        f'{ISSUER}[default]\nrequire = ["work", "l402"]\n',
        'default.require: expected "work" or "l402"',
    ),
    "work that nothing is said of": (
        f'{ISSUER}[default]\nrequire = ["work"]\n',
        "default.require: expected work, bits or hashes beside",
    ),
    "sats that nothing is said of": (
        f'{ISSUER}[default]\nrequire = ["l402"]\n',
        "default.require: expected sats, and no work",
    ),
    "work where sats are needed": (
        f'{WALLET}[default]\nbits = 16\nsats = 5\nrequire = ["l402"]\n',
        "default.require: expected sats, and no work",
    ),
    "sats where work is needed": (
        f'{WALLET}[default]\nbits = 16\nsats = 5\nrequire = ["work"]\n',
        "default.require: expected no sats",
    ),
    "another rail": (
        f'{ISSUER}[default]\nrequire = ["cash"]\n',
        'line 4: default.require[1]: expected "oauth", "work" or "l402", got',
    ),
    "free calls of nobody": (
        f'{ISSUER}[default]\nlogin_free = "5/60s"\n',
        "default.scope: expected scope beside login_free",
    ),
    "free calls that are none": (
        f'{ISSUER}[default]\nscope = "a"\nlogin_free = "5"\n',
        "line 5: default.login_free: expected calls in a time",
    ),
    "a pass that nobody can buy": (
        f'{ISSUER}[default]\nscope = "a"\npass = "5m"\n',
        "default.scope: expected work or sats beside pass",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_told_in_one_line_with_its_place_and_the_fix(
    name: str, tmp_path: Path
) -> None:
    text, complaint = WRONG[name]
    for bracket in "[]?()":
        complaint = complaint.replace(bracket, f"\\{bracket}")
    with pytest.raises(InvalidInputError, match=complaint) as caught:
        settings(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_without_the_libraries_that_read_tokens_the_fix_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pypow_server.identity.issuers", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'pypow-engine\[oauth\]'"):
        TrustedIssuer("https://login.example").trusted()
