# SPDX-License-Identifier: Apache-2.0
"""The policy file: what beats it, what it means, and one line for everything wrong in it."""

import json
import os
import re
from pathlib import Path

import pytest

from pypow import InvalidInputError, difficulty
from pypow.pricing import UNIT, Account, Principal, Quote, quote
from pypow.profiles import DEFAULT_BITS, DEFAULT_DEVICE, DEVICES, PROFILES
from pypow_server.match import Match
from pypow_server.meter import Pricing
from pypow_server.policy import PassTerms
from pypow_server.pypow_toml import load, read
from pypow_server.resource import Resource
from pypow_server.setting_sources import option, variable
from pypow_server.settings import Settings
from pypow_server.stores import Quota
from pypow_server.toml_document import Document, schema
from support.gated import Bench

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "pypow.toml"
SCHEMA = ROOT / "docs" / "pypow.schema.json"
PAGE = ROOT / "docs" / "policy.md"
HOME = {"HOME": "/srv/gate"}


def settings(tmp_path: Path, text: str, **explicit: str) -> Settings:
    path = tmp_path / "pypow.toml"
    path.write_text(text, encoding="utf-8")
    return Settings.from_env({**HOME, "PYPOW_CONFIG": str(path)}, explicit)


# Table and key: what the file says, and what comes of it.
SAID = {
    "gate.upstream": ('"http://127.0.0.1:1"', "upstream", "http://127.0.0.1:1"),
    "gate.public_url": ('"https://a.example"', "public_url", "https://a.example"),
    "gate.mcp_paths": ('["/a", "/b"]', "mcp_paths", ("/a", "/b")),
    "gate.hosts": ('["gate", "gate.local"]', "hosts", ("gate", "gate.local")),
    "gate.admin_hosts": ('["pypow"]', "admin_hosts", ("pypow",)),
    "gate.mode": ('"observe"', "mode", "observe"),
    "gate.forward_auth": ('"nginx"', "forward_auth", "nginx"),
    "gate.mcp_headers": ('"checked"', "mcp_headers", "checked"),
    "gate.bound_passes": ('"nonces"', "bound_passes", "nonces"),
    "gate.free_limit": ('"10/1m"', "free_limit", Quota(10, 60_000)),
    "gate.state_dir": ('"/srv/state"', "state_dir", Path("/srv/state")),
    "gate.drain": ('"1m"', "drain_s", 60),
    "store.url": ('"memory:"', "store", "memory:"),
    "work.lifetime": ('"2m"', "lifetime_s", 120),
    "keys.file": ('"/srv/keys.json"', "keys", Path("/srv/keys.json")),
    "trust.proxies": ('["10.0.0.0/8", "::1"]', "trusted_proxies", ("10.0.0.0/8", "::1")),
    "trust.header": ('"X-Real-IP"', "client_header", "X-Real-IP"),
    "limits.connections": ("9", "max_connections", 9),
    "limits.per_network": ("8", "max_per_network", 8),
    "limits.min_rate": ("0", "min_rate", 0),
    "log.level": ('"debug"', "log_level", "debug"),
    "log.format": ('"json"', "log_format", "json"),
    "log.audit": ('"/srv/audit"', "audit", Path("/srv/audit")),
}


@pytest.mark.parametrize("key", SAID)
def test_a_file_sets_what_an_option_would(key: str, tmp_path: Path) -> None:
    table, name = key.split(".")
    text, field, value = SAID[key]
    assert getattr(settings(tmp_path, f"[{table}]\n{name} = {text}\n"), field) == value


def test_every_key_of_the_file_is_tried_above_or_is_a_row_or_an_address() -> None:
    tables = {"gate", "store", "work", "keys", "trust", "limits", "log"}
    keys = {
        f"{table}.{key}"
        for table in tables
        for key in schema()["$defs"][f"{table.title()}Table"]["properties"]
    }
    assert keys == SAID.keys() | {
        "gate.listen", "gate.admin", "work.profile", "work.max_p99", "work.calibrate",
        "gate.pass_authorization", "gate.entry",
    }  # fmt: skip
    assert Document.model_fields.keys() == tables | {
        "default", "price", "allow", "deny", "pricing", "l402", "oauth",
    }  # fmt: skip


def test_prices_follow_use_where_the_file_says_so() -> None:
    said = read('[pricing]\nquota = "30/60s"\nmax_bits = 32\nmax_overdraft = 12.5\nreplicas = 3\n')
    assert said.rows.pricing == Pricing(Quota(30, 60_000), 32 * 1024, 12_800, 3)
    assert read('[pricing]\nquota = "none"\n').rows.pricing == Pricing()


@pytest.mark.parametrize(
    ("said", "a_second"),
    [("50/s", 50_000_000), ("90/m", 1_500_000), ("3 / 2s", 1_500_000), ("none", None)],
)
def test_what_the_upstream_serves_is_a_rate(said: str, a_second: int | None) -> None:
    found = read(f'[pricing]\nquota = "60/60s"\ncapacity = "{said}"\n').rows.pricing
    assert found == Pricing(Quota(60, 60_000), capacity=a_second)


@pytest.mark.parametrize(
    ("said", "milliseconds"),
    [("30d", 2_592_000_000), ("1h", 3_600_000), ("400d", 34_560_000_000), ("none", None)],
)
def test_standing_counts_for_a_time(said: str, milliseconds: int | None) -> None:
    found = read(f'[pricing]\nquota = "60/60s"\nstanding = "{said}"\n').rows.pricing
    assert found == Pricing(Quota(60, 60_000), standing_ms=milliseconds)
    assert Pricing().standing_ms == read('[pricing]\nquota = "1/1s"').rows.pricing.standing_ms


def test_all_prices_share_an_account_but_those_with_free_calls_of_their_own(
    tmp_path: Path,
) -> None:
    policy = settings(
        tmp_path,
        '[default]\nbits = 16\n[pricing]\nquota = "60/60s"\nreplicas = 2\n[[price]]\nmatch = "a"\n'
        'bits = 20\n[[price]]\nmatch = "b"\nbits = 20\nfree = "30/60s"\n',
    ).policy
    shared, own = (entry.price for entry in policy.entries)
    assert shared is not None
    assert own is not None
    for price, pool, weight, burst in (
        (policy.default, b"all 192.0.2.7/32", 1, 60),
        (shared, b"all 192.0.2.7/32", 16, 60),
        (own, b"free b 192.0.2.7/32", 1, 30),
        (policy.dearest, b"all 192.0.2.7/32", 16, 60),
    ):
        assert price.meter is not None
        charge = price.meter.charge("192.0.2.7/32")
        constants = charge.tariff.constants
        assert (charge.keys[0], charge.weight) == (pool, weight)
        assert (constants.burst, constants.replicas) == (burst * UNIT, 2)
        offered = quote(Principal(Account.new(constants, 0)), charge.weight, charge.tariff, 0)
        assert isinstance(offered, Quote)
        assert offered.q == price.q


def test_without_a_quota_no_price_follows_use(tmp_path: Path) -> None:
    assert not settings(tmp_path, "[default]\nbits = 16\n").policy.is_metered
    assert settings(tmp_path, '[default]\nfree = "1/1s"\n').policy.is_metered


def test_an_option_beats_a_variable_which_beats_the_file_which_beats_the_default(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pypow.toml"
    path.write_text('[gate]\nlisten = "127.0.0.1:1"\n[default]\nbits = 20\n', encoding="utf-8")
    file = {"config": str(path)}
    environment = HOME | {"PYPOW_LISTEN": "127.0.0.1:2", "PYPOW_BITS": "21"}

    from_file = Settings.from_env(HOME, file)
    from_environment = Settings.from_env(environment, file)
    from_option = Settings.from_env(environment, {**file, "listen": "127.0.0.1:3", "bits": "22"})

    found = [(one.listen.port, one.bits) for one in (from_file, from_environment, from_option)]
    assert found == [(1, 20), (2, 21), (3, 22)]
    assert Settings.from_env(HOME).bits == DEFAULT_BITS


def test_prices_are_bits_hashes_or_time_at_a_profiles_speed() -> None:
    rows = read(
        """
        [[price]]
        match = "a"
        bits = 20.5
        [[price]]
        match = "b"
        hashes = 1_000_000
        [[price]]
        match = "c"
        work = "250ms"
        """
    ).rows
    hashes = DEVICES[DEFAULT_DEVICE].hashes_per_s / 4
    assert [row.q for row in rows.prices] == [
        difficulty.from_bits(20.5),
        difficulty.from_hashes(1_000_000),
        difficulty.from_hashes(hashes),
    ]


def test_another_profile_is_another_price() -> None:
    def q(profile: str) -> int:
        text = f'[work]\nprofile = "{profile}"\n[default]\nwork = "1s"\n'
        found = read(text).default_q
        assert found is not None
        return found

    fast_to_slow = sorted(DEVICES, key=lambda name: -DEVICES[name].hashes_per_s)
    assert sorted(DEVICES, key=lambda name: -q(name)) == fast_to_slow
    assert {name: q(name) for name in PROFILES} == {
        name: q(profile.device.name) for name, profile in PROFILES.items()
    }


def test_a_price_has_free_calls_a_pass_and_a_mode_of_its_own() -> None:
    (row,) = read(
        '[[price]]\nmatch="x"\nbits=8\nfree="60/60s"\npass="20 calls / 5m"\nmode="observe"\n'
    ).rows.prices
    assert (row.free, row.sells, row.observe) == (Quota(60, 60_000), PassTerms(20, 300), True)


def test_a_pass_may_be_for_time_alone() -> None:
    rows = read('[default]\nfree = "1/1s"\npass = "1h"\n').rows
    assert (rows.default_free, rows.default_sells) == (Quota(1, 1000), PassTerms(0, 3600))


def test_the_policy_of_a_file_weighs_prices_against_its_default(tmp_path: Path) -> None:
    text = '[default]\nbits = 10\n[[price]]\nmatch = "tools/call dear"\nbits = 14\n'
    policy = settings(tmp_path, text).policy
    dear = policy.price_of(Resource("mcp", "tools/call", "dear"))
    assert dear is not None
    assert (dear.weight, policy.default.weight) == (16, 1)


def test_a_file_says_who_is_kept_out_and_who_pays_nothing(tmp_path: Path) -> None:
    text = """
        [default]
        bits = 4
        [[allow]]
        network = ["198.51.100.0/24", "2001:db8::/48"]
        [[allow]]
        match = "GET /open"
        [[deny]]
        network = "203.0.113.0/24"
        match = "GET /closed"
        [trust]
        proxies = ["192.0.2.7"]
    """
    bench = Bench(policy=settings(tmp_path, text).policy)
    forwarded = [(b"x-forwarded-for", b"198.51.100.4")]
    assert bench.send("GET", "/x").status == 402
    assert bench.send("GET", "/x", forwarded).status == 200
    assert bench.send("GET", "/open").status == 200
    assert bench.send("GET", "/closed", client="203.0.113.8").status == 403
    assert bench.send("GET", "/closed").status == 402


SOUND = """\
[gate]
upstream = "http://127.0.0.1:9"
mode = "enforce"

[[price]]
match = "a"
work = "250ms"

[[price]]
match = "b"
bits = 20.5

[[deny]]
network = "203.0.113.0/24"
"""

WRONG = {
    "an unknown key": (
        "mode =",
        "mod =",
        "line 3: gate.mod: there is no such key; did you mean mode?",
    ),
    "an unknown table": (
        "[gate]",
        "[gates]",
        "line 1: gates: there is no such table; did you mean gate?",
    ),
    "an unknown key of a row": (
        "bits = 20.5",
        "bit = 5",
        "line 11: price[2].bit: there is no such key; did you mean bits?",
    ),
    "a scope without an issuer": (
        "bits = 20.5",
        'scope = "a"',
        "line 11: price[2].scope: expected [[oauth.issuer]] beside it",
    ),
    "a price in sats without a wallet": (
        "bits = 20.5",
        "bits = 20.5\nsats = 5",
        "line 12: price[2].sats: expected [l402] wallet beside it",
    ),
    "a login first without an issuer": (
        'mode = "enforce"',
        'entry = "oauth"',
        "line 3: gate.entry: expected [[oauth.issuer]] beside it",
    ),
    "another kind of value": (
        "20.5",
        '"20.5"',
        "line 11: price[2].bits: expected a number, got '20.5'",
    ),
    "a table where a list is": ("[[deny]]", "[deny]", "line 13: deny: expected [[deny]], a list"),
    "a table where a list below a table is": (
        "[[deny]]",
        "[oauth.issuer]",
        "line 13: oauth.issuer: expected [[oauth.issuer]], a list of tables, got [oauth.issuer]",
    ),
    "neither true nor false": (
        "[[deny]]",
        '[l402]\nstrict = "yes"\n[[deny]]',
        "line 14: l402.strict: expected true or false, got 'yes'",
    ),
    "no table in braces": (
        "[[deny]]",
        '[[oauth.workload]]\nplatform = "aws"\nscope = "a"\nclaims = "b"\n[[deny]]',
        "line 16: oauth.workload[1].claims: expected a table in braces",
    ),
    "sats alone": (
        "bits = 20.5",
        'sats = 5\n[l402]\nwallet = "development:"',
        'hashes = 1_000_000; for sats alone, say require = ["l402"]',
    ),
    "no value of the few": (
        '"enforce"',
        '"off"',
        'line 3: gate.mode: expected "enforce" or "observe", got \'off\'',
    ),
    "no match": ('match = "b"', "", "line 9: price[2]: expected match = ..."),
    "no work": (
        "bits = 20.5",
        "",
        'line 9: price[2]: expected work = "250ms", bits = 20 or hashes',
    ),
    "work twice": (
        "bits = 20.5",
        "bits = 20\nhashes = 5",
        "line 12: price[2].hashes: expected work, bits or hashes, got bits and hashes",
    ),
    "no time": ('"250ms"', '"250"', "line 7: price[1].work: expected a time such as 250ms"),
    "too much work": ("20.5", "44.5", "line 11: price[2].bits: expected a price of 1 to 44 bits"),
    "too little work": (
        "bits = 20.5",
        "hashes = 1",
        "line 11: price[2].hashes: expected work of 2 to 2**44 hashes",
    ),
    "no match that could be": (
        'match = "a"',
        'match = " a"',
        "line 6: price[1].match: expected an entry like",
    ),
    "no network": (
        "203.0.113.0/24",
        "203.0.113.1/24",
        "line 14: deny[1].network: expected a network",
    ),
    "a list of no networks": (
        '"203.0.113.0/24"',
        "[1]",
        "line 14: deny[1].network: expected a text in quotes, got [1]",
    ),
    "no URL": (
        "http://127",
        "ftp://127",
        "line 2: gate.upstream: expected an http:// or https:// URL",
    ),
    "no TOML": ("[[deny]]", "[[deny]", "this is no TOML: "),
    "a key twice": ("mode =", "upstream =", "this is no TOML: "),
    "a pass that is none": (
        "bits = 20.5",
        'bits = 20\npass = "5 calls"',
        'line 12: price[2].pass: expected "20 calls / 5m" or "5m"',
    ),
    "a pass for half a second": (
        "bits = 20.5",
        'bits = 20\npass = "500ms"',
        "line 12: price[2].pass: expected whole seconds",
    ),
    "a pass for no call": (
        "bits = 20.5",
        'bits = 20\npass = "0 calls / 5m"',
        "line 12: price[2].pass: expected at least 1 call",
    ),
    "a pass for a year": (
        "bits = 20.5",
        'bits = 20\npass = "365d"',
        "line 12: price[2].pass: expected a pass for 1 to",
    ),
    "free calls that are none": (
        "bits = 20.5",
        'bits = 20\nfree = "60"',
        "line 12: price[2].free: expected calls in a time",
    ),
    "more free calls than can be reckoned with": (
        "bits = 20.5",
        'bits = 20\nfree = "60000/1s"',
        "line 12: price[2].free: expected at most 250000 calls, and 2000 in a second",
    ),
    "a price that could not rise": (
        "bits = 20.5",
        'bits = 20\nfree = "60/60s"\n[pricing]\nmax_bits = 24',
        "line 12: price[2].free: expected at most 18 bits where the price follows use",
    ),
    "a cap that is none": (
        "bits = 20.5",
        "bits = 20\n[pricing]\nmax_bits = 44",
        "line 13: pricing.max_bits: expected 8 to 40 bits, got 44",
    ),
    "more overdraft than a challenge can say": (
        "bits = 20.5",
        "bits = 20\n[pricing]\nmax_overdraft = 26",
        "line 13: pricing.max_overdraft: expected 1 to 25 bits, got 26",
    ),
    "no gate at all": (
        "bits = 20.5",
        "bits = 20\n[pricing]\nreplicas = 0",
        "line 13: pricing.replicas: expected 1 to 16 gates, got 0",
    ),
    "a capacity of no calls": (
        "bits = 20.5",
        'bits = 20\n[pricing]\nquota = "60/60s"\ncapacity = "0/s"',
        'line 14: pricing.capacity: expected "1/m" to "500000/s", got \'0/s\'',
    ),
    "a capacity that is no rate": (
        "bits = 20.5",
        'bits = 20\n[pricing]\nquota = "60/60s"\ncapacity = "50"',
        "line 14: pricing.capacity: expected calls in a time, such as \"50/s\", got '50'",
    ),
    "a capacity whose turns nobody could order": (
        "bits = 20.5",
        'bits = 20\n[pricing]\ncapacity = "50/s"',
        "line 13: pricing.capacity: expected pricing.quota beside pricing.capacity, such as "
        '"60/60s": what callers used says whose turn it is',
    ),
    "standing that is over at once": (
        "bits = 20.5",
        'bits = 20\n[pricing]\nquota = "60/60s"\nstanding = "59m"',
        "line 14: pricing.standing: expected 1h to 400d, or \"none\", got '59m'",
    ),
    "standing that helps nobody": (
        "bits = 20.5",
        'bits = 20\n[pricing]\nstanding = "30d"',
        'line 13: pricing.standing: expected pricing.quota beside it, such as "60/60s": without '
        "one, whoever is known has nothing by it",
    ),
    "a key of pricing that is none": (
        "bits = 20.5",
        'bits = 20\n[pricing]\nquotas = "60/60s"',
        "line 13: pricing.quotas: there is no such key; did you mean quota?",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_one_line_with_its_place(name: str, tmp_path: Path) -> None:
    before, after, complaint = WRONG[name]
    settings(tmp_path, SOUND)
    assert SOUND.count(before) == 1

    with pytest.raises(InvalidInputError) as raised:
        settings(tmp_path, SOUND.replace(before, after))

    line = str(raised.value)
    assert line.startswith(str(tmp_path / "pypow.toml"))
    assert complaint in line
    assert "\n" not in line
    assert len(line) < 400


def test_a_profile_that_nobody_measured_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"line 2: work.profile: expected a profile"):
        read('[work]\nprofile = "abacus"\n')


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [(b"\xff = 1", "expected UTF-8"), (b"#" * 1_048_577, "at most 1048576 octets")],
)
def test_a_file_that_is_no_text_is_refused(octets: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "pypow.toml"
    path.write_bytes(octets)
    with pytest.raises(InvalidInputError, match=complaint):
        load(path)


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"absent.toml: No such file .*--config"):
        Settings.from_env(HOME, {"config": str(tmp_path / "absent.toml")})


def test_no_value_that_a_file_says_makes_the_gate_open(tmp_path: Path) -> None:
    for key in ("free = true", "price = 0", "bits = 0", "work = '0ms'", "bits = nan"):
        with pytest.raises(InvalidInputError):
            settings(tmp_path, f"[default]\n{key}\n")


def test_the_schema_in_the_docs_is_the_files_own() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == schema()


def test_the_example_is_sound_and_says_its_schema() -> None:
    text = EXAMPLE.read_text("utf-8")
    hint = re.match(r"#:schema (\S+)\n", text)
    assert hint is not None
    assert (EXAMPLE.parent / hint[1]).resolve() == SCHEMA
    found = load(EXAMPLE)
    assert len(found.rows.prices) == 3
    assert len(found.rows.allowed) == 2


def test_the_page_lists_every_key_of_the_file_and_no_other() -> None:
    documented = set(re.findall(r"^\| `([a-z0-9]+\.[a-z0-9_]+)` \|", PAGE.read_text("utf-8"), re.M))
    definitions = schema()["$defs"]
    keys = {
        f"{name.removesuffix('Table').lower()}.{key}"
        for name, table in definitions.items()
        for key in table["properties"]
    }
    shared = {key for key in keys if key.startswith("access.")}
    lists = {key.replace("access.", f"{name}.") for key in shared for name in ("allow", "deny")}
    assert documented == keys - shared | lists


def test_the_page_names_every_device_with_its_speed() -> None:
    page = PAGE.read_text("utf-8")
    for name, reference in DEVICES.items():
        millions = f"{reference.hashes_per_s / 1e6:g} MH/s"
        assert re.search(rf"^\| `{name}` \| {re.escape(millions)} \| {reference.as_of}", page, re.M)


def test_every_setting_but_the_files_name_and_the_price_has_a_key() -> None:
    fields = {field for _, field, _ in SAID.values()} | {"listen", "admin"}
    named = {"bits": "default.bits", "config": None, "rows": None, "origins": None}
    assert fields | named.keys() == set(Settings.__dataclass_fields__)
    assert (option("config"), variable("config")) == ("--config", "PYPOW_CONFIG")


def test_a_password_where_it_does_not_belong_is_not_repeated() -> None:
    with pytest.raises(InvalidInputError, match="expected a text") as caught:
        read('[store]\nurl = ["redis://:SECRET@h"]\n')
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("number", ["1" * 5000, f"0x{5000 * 'f'}", "[[9223372036854775808]]"])
def test_numbers_beyond_those_of_toml_are_refused(number: str) -> None:
    with pytest.raises(InvalidInputError, match="this is no TOML") as caught:
        read(f"[limits]\nconnections = {number}\n")
    assert len(str(caught.value)) < 300


def test_a_named_pipe_in_place_of_the_file_does_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "pypow.toml"
    os.mkfifo(pipe)
    with pytest.raises(InvalidInputError, match="expected a file that can be read again"):
        load(pipe)


SLOW = [
    ("[default]\nbits = 26\n", "line 2: default.bits", "7.24 s for 26 bits", 25.46),
    ("[default]\nhashes = 67_108_864\n", "line 2: default.hashes", "7.24 s for 26 bits", 25.46),
    ('[default]\nwork = "3s"\n', "line 2: default.work", "5.01 s for 25.47 bits", 25.46),
    ('[[price]]\nmatch = "x"\nbits = 26\n', r"line 3: price\[1\].bits", "7.24 s", 25.46),
    ('[work]\nprofile = "mixed-agents"\n[default]\nbits = 22\n', "line 4", "on python", 21.15),
    ('[work]\nmax_p99 = "1s"\n[default]\nbits = 24\n', "line 4", "at most 1 s", 23.14),
]


@pytest.mark.parametrize(("text", "place", "told", "would_do"), SLOW)
def test_a_price_that_its_profile_waits_too_long_for_is_refused_with_one_that_would_do(
    text: str, place: str, told: str, would_do: float
) -> None:
    with pytest.raises(InvalidInputError, match=place) as caught:
        read(text)
    assert told in str(caught.value)
    assert f"at most {would_do} bits would do" in str(caught.value)
    kept = re.sub(r"^(bits|work|hashes) = .*$", f"bits = {would_do}", text, flags=re.MULTILINE)
    read(kept)


def test_the_same_holds_for_a_price_of_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"bits: expected a p99 .* at most 25.46 bits"):
        Settings.from_env(HOME, {"bits": "26"})
    assert settings(tmp_path, '[work]\nmax_p99 = "10s"\n', bits="26").bits == 26
    assert Settings.from_env(HOME, {"bits": "25.46"}).bits == 25.46


@pytest.mark.parametrize("max_p99", ["0s", "11m", "nan", "fast"])
def test_a_longest_wait_that_cannot_be_is_refused(max_p99: str) -> None:
    with pytest.raises(InvalidInputError, match=r"line 2: work\.max_p99: expected a"):
        read(f'[work]\nmax_p99 = "{max_p99}"\n[default]\nbits = 8\n')


@pytest.mark.parametrize("name", ["default", "free", "allow", "deny", "none", "dearest"])
def test_a_row_whose_name_has_a_meaning_of_its_own_is_refused_with_its_line(name: str) -> None:
    told = rf"pypow.toml line 2: price\[1\].match: '{name}' is a name .*; write \"{name} \*\""
    with pytest.raises(InvalidInputError, match=told):
        read(f'[[price]]\nmatch = "{name}"\nbits = 18\n')
    (row,) = read(f'[[price]]\nmatch = "{name} *"\nbits = 18\n').rows.prices
    assert Match(row.match).covers(Resource("mcp", name, ""))
