# SPDX-License-Identifier: Apache-2.0
"""Store URLs that lead to a Redis: what each form says, and that none tells its secrets."""

import re

import pytest

from pypow_server.stores import StoreError, without_secrets
from pypow_server.stores.redis_address import RedisAddress, read_address


def _read(url: str) -> RedisAddress:
    scheme, _, rest = url.partition(":")
    return read_address(rest, scheme=scheme)


def test_the_shortest_address_is_a_host() -> None:
    assert _read("redis://cache.example") == RedisAddress(
        hosts=(("cache.example", 6379),),
        master=None,
        cluster=False,
        database=0,
        username=None,
        password=None,
        tls=False,
        ca=None,
        sentinel_user=None,
        sentinel_password=None,
        deployment="default",
    )


def test_an_address_may_name_everything() -> None:
    found = _read("rediss://us%40er:p%2Fw@[::1]:7000/3?deployment=blue.1&ca=/etc/ca.pem")
    assert (found.hosts, found.database, found.tls) == ((("::1", 7000),), 3, True)
    assert (found.username, found.password) == ("us@er", "p/w")
    assert (found.deployment, found.ca) == ("blue.1", "/etc/ca.pem")
    assert found.key("spends") == "{pypow:blue.1}:spends"


def test_a_password_needs_no_user() -> None:
    found = _read("redis://:word@h")
    assert (found.username, found.password) == (None, "word")


def test_sentinels_are_named_with_their_master() -> None:
    found = _read("redis+sentinel://:pw@a:1,b/main/2?sentinel_user=s&sentinel_password=t")
    assert found.hosts == (("a", 1), ("b", 26379))
    assert (found.master, found.database, found.password) == ("main", 2, "pw")
    assert (found.sentinel_user, found.sentinel_password) == ("s", "t")
    assert str(found) == "a:1,b:26379/main"


def test_nodes_of_a_cluster_are_named_like_hosts() -> None:
    found = _read("rediss+cluster://a:1,b")
    assert (found.hosts, found.cluster, found.tls) == ((("a", 1), ("b", 6379)), True, True)
    assert str(found) == "a:1,b:6379"


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("redis:", "redis://[USER"),
        ("redis://", "redis://[USER"),
        ("redis:/h", "redis://[USER"),
        ("redis://:SECRET@", "redis://[USER"),
        ("redis://:SECRET@h:x", "redis://[USER"),
        ("redis://:SECRET@h:70000", "redis://[USER"),
        ("redis://:SECRET@[::1", "redis://[USER"),
        ("redis://:SECRET@h/one", "redis://[USER"),
        ("redis://:SECRET@h/²", "redis://[USER"),
        ("redis://:SECRET@h/1/2", "redis://[USER"),
        ("redis://:SECRET@h#f", "redis://[USER"),
        ("redis://:SECRET@a,b", "redis://[USER"),
        ("redis://:SECRET@:6379", "redis://[USER"),
        ("redis+sentinel://:SECRET@a,b", "redis+sentinel://[USER"),
        ("redis+sentinel://:SECRET@a,b/main/x", "redis+sentinel://[USER"),
        ("redis+sentinel://:SECRET@a,,b/main", "redis+sentinel://[USER"),
        ("redis+cluster://:SECRET@a,b/1", "redis+cluster://[USER"),
    ],
)
def test_another_form_is_refused_and_not_repeated(url: str, form: str) -> None:
    with pytest.raises(StoreError, match=re.escape(f"expected a store such as {form}")) as caught:
        _read(url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("deploymint=x", "to be among deployment, ca, sentinel_user, sentinel_password; got 'de"),
        ("hunter2@h", "got another (a ? in a password"),
        ("deployment=a&deployment=b", "once; got one twice"),
        ("deployment=", "1 to 64 letters"),
        ("deployment=a}b", "got 'a}b'"),
        (f"deployment={65 * 'a'}", "1 to 64 letters"),
    ],
)
def test_options_that_are_wrong_are_named(options: str, text: str) -> None:
    with pytest.raises(StoreError, match=re.escape(text)):
        _read(f"redis://h?{options}")


def test_an_address_shows_no_secret() -> None:
    found = _read("redis+sentinel://me:SECRET@a/main?sentinel_password=SECRET")
    assert "SECRET" not in f"{found} {found!r}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory:", "memory:"),
        ("sqlite:/srv/l@x.db", "sqlite:/srv/l@x.db"),
        ("redis://h:1/0?deployment=a", "redis://h:1/0?deployment=a"),
        ("redis://u:SECRET@h/0", "redis://...@h/0"),
        ("redis://u:SEC/RE@T@h/0", "redis://...@h/0"),
        ("redis://u:SEC?RE@T@h/0", "redis://...@h/0"),
        ("redis:u:SECRET@h", "redis:...@h"),
        ("redis:/u:SECRET@h", "redis:/...@h"),
        ("redis://h?sentinel_passwor%64=SECRET", "redis://h?sentinel_passwor%64=..."),
        ("redis://h?sentinel_password=x&SECRET", "redis://h?sentinel_password=...&..."),
        (
            "redis+sentinel://a/m?sentinel_password=SECRET&ca=x",
            "redis+sentinel://a/m?sentinel_password=...&ca=x",
        ),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
