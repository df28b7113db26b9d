# SPDX-License-Identifier: Apache-2.0
"""Settings: what beats what, and one clear line for everything that cannot be."""

import dataclasses
import re
from collections.abc import Set
from pathlib import Path

import pytest

from pypow import InvalidInputError
from pypow_server.address import Address
from pypow_server.setting_sources import option, variable
from pypow_server.settings import Settings

HOME = {"HOME": "/srv/gate"}
README = Path(__file__).parents[2] / "server" / "README.md"


def test_without_anything_said_the_gate_listens_on_loopback_and_keeps_its_state_at_home() -> None:
    settings = Settings.from_env(HOME)

    assert str(settings.listen) == "127.0.0.1:8402"
    assert str(settings.admin) == "127.0.0.1:8403"
    assert settings.url == "http://127.0.0.1:8402"
    assert settings.state_dir == Path("/srv/gate/.local/state/pypow")
    assert settings.key_file == Path("/srv/gate/.local/state/pypow/keys.json")
    assert settings.store_url == "sqlite:/srv/gate/.local/state/pypow/ledger.db"
    assert (settings.bits, settings.lifetime_s, settings.mcp_paths) == (16.0, 120, ("/mcp",))


def test_the_state_directory_follows_xdg_state_home() -> None:
    assert Settings.from_env(HOME | {"XDG_STATE_HOME": "/var/s"}).state_dir == Path("/var/s/pypow")


def test_a_relative_xdg_state_home_is_ignored() -> None:
    settings = Settings.from_env(HOME | {"XDG_STATE_HOME": "state"})

    assert settings.state_dir == Path("/srv/gate/.local/state/pypow")


def test_without_a_home_the_state_directory_must_be_said() -> None:
    with pytest.raises(InvalidInputError, match="--state-dir"):
        Settings.from_env({})
    assert Settings.from_env({"PYPOW_STATE_DIR": "/srv/pypow"}).state_dir == Path("/srv/pypow")


OPTIONAL = [field for field in dataclasses.fields(Settings) if field.metadata]
"""All but what only a policy file can say, and where the others were said."""

SOUND = {
    "upstream": ("http://127.0.0.1:9000", "http://127.0.0.1:9001", "http://127.0.0.1:9001"),
    "listen": ("[::1]:9", "localhost:80", Address("localhost", 80)),
    "admin": ("0.0.0.0:9", "0.0.0.0:10", Address("0.0.0.0", 10)),
    "public_url": ("https://a.example", "https://b.example/x", "https://b.example/x"),
    "store": ("memory:", "sqlite:/srv/l.db", "sqlite:/srv/l.db"),
    "bits": ("18", "20.5", 20.5),
    "mcp_paths": ("/a", "/mcp,/v2/mcp", ("/mcp", "/v2/mcp")),
    "lifetime_s": ("60", "600", 600),
    "log_level": ("debug", "error", "error"),
    "log_format": ("json", "console", "console"),
    "audit": ("/var/log/a", "/var/log/b", Path("/var/log/b")),
    "drain_s": ("0", "3600", 3600),
    "max_connections": ("1", "1000000", 1_000_000),
    "max_per_network": ("1", "1000000", 1_000_000),
    "min_rate": ("0", "1000", 1000),
    "state_dir": ("/srv/a", "/srv/b", Path("/srv/b")),
    "hosts": ("a.example", "b.example,gate", ("b.example", "gate")),
    "admin_hosts": ("a.example", "pypow,grafana", ("pypow", "grafana")),
    "mode": ("observe", "enforce", "enforce"),
    "forward_auth": ("nginx", "caddy", "caddy"),
    "mcp_headers": ("checked", "unchecked", "unchecked"),
    "bound_passes": ("on", "nonces", "nonces"),
    "free_limit": ("10/1s", "none", None),
    "keys": ("/srv/k.json", "/srv/l.json", Path("/srv/l.json")),
    "trusted_proxies": ("10.0.0.0/8", "127.0.0.1,::1", ("127.0.0.1", "::1")),
    "client_header": ("X-Real-IP", "CF-Connecting-IP", "CF-Connecting-IP"),
}


@pytest.mark.parametrize("name", ["mcp_paths", "hosts", "admin_hosts", "trusted_proxies"])
def test_a_list_may_be_said_to_be_empty(name: str, tmp_path: Path) -> None:
    assert getattr(Settings.from_env(HOME | {variable(name): "none"}), name) == ()
    table = "trust" if name == "trusted_proxies" else "gate"
    key = "proxies" if name == "trusted_proxies" else name
    file = tmp_path / "pypow.toml"
    file.write_text(f"[{table}]\n{key} = []\n", encoding="utf-8")
    assert getattr(Settings.from_env(HOME, {"config": str(file)}), name) == ()


def test_limits_are_those_that_were_said() -> None:
    said = Settings.from_env(
        HOME | {"PYPOW_MAX_CONNECTIONS": "7", "PYPOW_MAX_PER_NETWORK": "3", "PYPOW_MIN_RATE": "0"}
    ).limits
    assert (said.connections, said.per_network, said.octets_s) == (7, 3, 0)


def test_the_table_of_sound_values_covers_every_field() -> None:
    assert SOUND.keys() | {"config"} == {field.name for field in OPTIONAL}


@pytest.mark.parametrize("name", SOUND)
def test_an_option_beats_the_environment_which_beats_the_default(name: str) -> None:
    in_environment, explicit, read = SOUND[name]
    environment = HOME | {variable(name): in_environment}

    default = getattr(Settings.from_env(HOME), name)
    from_environment = getattr(Settings.from_env(environment), name)
    from_option = getattr(Settings.from_env(environment, {name: explicit}), name)

    assert from_option == read
    assert from_environment not in (default, from_option)


def test_an_option_that_was_not_given_leaves_the_environment_in_force() -> None:
    assert Settings.from_env(HOME | {"PYPOW_BITS": "18"}, {"bits": None}).bits == 18


UNSOUND = {
    "upstream": [
        "",
        "127.0.0.1:8000",
        "ftp://x",
        "http://",
        "http://u:p@x",
        "http://x:99999",
        "http://x/?q",
        "http://x/#f",
        "http://x y",
        "http://x\n",
        "http://ü.example",
    ],
    "listen": [
        "",
        "8402",
        "127.0.0.1",
        "127.0.0.1:",
        ":8402",
        "::1:8402",
        "x:70000",
        "x:-1",
        "x:80/",
        "u@x:80",
        "http://x:80",
        "x:8_0",
        "x: 80",
        "[::1:80",
    ],
    "admin": ["nowhere"],
    "public_url": ["mcp.example.com", "https://"],
    "store": ["", "ledger.db", ":memory"],
    "bits": ["", "sixteen", "nan", "inf", "0", "0.9", "44.1", "60", "-1", "1e999"],
    "mcp_paths": ["", "mcp", "/mcp,", "/m//p", "/m%2Fp", "/a/../mcp", "/m\u00e7p", "/m\ncp"],
    "log_level": ["", "INFO", "trace"],
    "log_format": ["", "xml"],
    "audit": [""],
    "drain_s": ["", "-1", "3601", "1.5"],
    "lifetime_s": ["", "0", "601", "-5", "1.5", "11m", "500ms", "\u0661", "9" * 5000],
    "max_connections": ["", "0", "1000001", "1.5", "-1", "many", "9" * 5000],
    "max_per_network": ["", "0", "1000001"],
    "min_rate": ["", "-1", "1000001", "\u0661"],
    "state_dir": ["", "a\0b"],
    "hosts": ["", "a.example:80", "http://x", "a,*", "-x", "a b"],
    "mode": ["", "off", "Observe"],
    "forward_auth": ["", "haproxy", "Nginx"],
    "mcp_headers": ["", "yes"],
    "bound_passes": ["", "yes", "On"],
    "free_limit": ["", "60", "60/", "0/1s", "60/60", "-1/1s", "9999999/1s", "60/0s", "None"],
    "keys": ["", "a\0b"],
    "trusted_proxies": ["", "proxy", "10.0.0.1/8", "10.0.0.0/33", "0.0.0.0/0", "::/0"],
    "client_header": ["", "X Real IP", "X-Real-IP:"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in UNSOUND.items() for text in texts]
)
def test_a_value_that_cannot_be_is_one_line_that_names_where_it_came_from(
    name: str, text: str
) -> None:
    for environment, explicit, origin in (
        (HOME | {variable(name): text}, {}, variable(name)),
        (HOME, {name: text}, option(name)),
    ):
        with pytest.raises(InvalidInputError) as raised:
            Settings.from_env(environment, explicit)
        line = str(raised.value)
        assert line.startswith(f"{origin}: expected ")
        assert "\n" not in line
        assert len(line) < 300


def test_settings_made_in_code_are_checked_as_well() -> None:
    with pytest.raises(InvalidInputError, match=r"^bits: expected"):
        Settings(state_dir=Path("/srv"), bits=99)
    with pytest.raises(InvalidInputError, match=r"^upstream: expected"):
        Settings(state_dir=Path("/srv"), upstream="here")


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("PYPOW_UPSTREEM", "PYPOW_UPSTREAM"), ("PYPOW_LIFETIME", "PYPOW_LIFETIME_S")],
)
def test_an_unknown_variable_is_refused_with_the_nearest_right_one(
    unknown: str, nearest: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"{unknown} .* did you mean {nearest}\\?"):
        Settings.from_env(HOME | {unknown: "1"})


def test_the_engines_own_variable_is_no_mistake() -> None:
    assert Settings.from_env(HOME | {"PYPOW_KERNEL": "scalar"}) == Settings.from_env(HOME)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:8402", "http://127.0.0.1:8402"),
        ("[::1]:8402", "http://[::1]:8402"),
        ("0.0.0.0:8402", "http://127.0.0.1:8402"),
        ("[::]:8402", "http://[::1]:8402"),
        ("localhost:0", "http://localhost:0"),
    ],
)
def test_an_address_reads_back_and_has_a_url_that_works_on_this_machine(
    text: str, url: str
) -> None:
    address = Address.parse(text)

    assert str(address) == text
    assert address.url == url


def test_the_url_follows_the_port_that_was_bound_unless_a_public_one_was_said() -> None:
    bound = Address("127.0.0.1", 40123)

    unsaid = Settings.from_env(HOME, {"listen": "127.0.0.1:0"})
    said = Settings.from_env(HOME, {"public_url": "https://mcp.example.com/"})

    assert unsaid.bound_to(listen=bound, admin=bound).url == "http://127.0.0.1:40123"
    assert said.bound_to(listen=bound, admin=bound).url == "https://mcp.example.com"


@pytest.mark.parametrize(
    ("listen", "public_url", "hosts", "named"),
    [
        ("127.0.0.1:1", None, None, {"localhost"}),
        ("[::1]:1", None, None, {"localhost"}),
        ("localhost:1", None, None, {"localhost"}),
        ("0.0.0.0:1", None, None, None),
        ("gate.local:1", None, None, None),
        ("0.0.0.0:1", "https://A.example/x", None, {"localhost", "a.example"}),
        ("127.0.0.1:1", "https://a.example", "gate,B.example", {"gate", "b.example"}),
        ("127.0.0.1:1", "https://a.example", "*", None),
    ],
)
def test_a_gate_with_a_name_of_its_own_is_called_by_it(
    listen: str, public_url: str | None, hosts: str | None, named: Set[str] | None
) -> None:
    given = {"listen": listen, "public_url": public_url, "hosts": hosts}
    settings = Settings.from_env(HOME, given)
    bound = settings.bound_to(listen=settings.listen, admin=settings.admin)
    assert bound.policy.hosts == named


def test_a_gate_around_an_app_that_others_serve_asks_for_no_name_unless_it_is_told() -> None:
    assert Settings.from_env(HOME, {"public_url": "https://a.example"}).policy.hosts is None
    told = Settings.from_env(HOME, {"hosts": "a.example"})
    assert told.policy.hosts == frozenset({"a.example"})


def _documented(table: str) -> list[tuple[str, str]]:
    return re.findall(r"^\| `(--[a-z-]+)` \| `(PYPOW_[A-Z_]+)` \|", table, re.MULTILINE)


def test_the_operators_table_lists_every_setting_and_no_other() -> None:
    expected = [(option(field.name), variable(field.name)) for field in OPTIONAL]

    assert sorted(_documented(README.read_text(encoding="utf-8"))) == sorted(expected)
    assert _documented("| `--lost` | `PYPOW_LOST` | gone |\n| `--x` | none |") == [
        ("--lost", "PYPOW_LOST")
    ]


@pytest.mark.parametrize(
    "variables",
    [
        {"PYPOW_STORE": "Redis://:SECRET@h"},
        {"PYPOW_UPSTREAM": "http://user:SECRET@h"},
        {"PYPOW_PUBLIC_URL": "https://user:SECRET@h"},
    ],
)
def test_a_url_that_is_refused_is_not_repeated_with_its_password(
    variables: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Settings.from_env({"PYPOW_STATE_DIR": str(tmp_path), **variables})
    assert "SECRET" not in str(caught.value)
