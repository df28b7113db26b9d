# SPDX-License-Identifier: Apache-2.0
"""docs/tuning.md says what work does not do, and its figures are those of the commands.

That each command prints what the page shows is tests/test_docs.py's to hold; so is the cost table.
"""

import math
import re
from pathlib import Path

import pytest

from pypow.attackers import read_attackers
from pypow.profiles import PROFILES
from support.command import Command

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
PICTURE = ROOT / "docs" / "img" / "advice.svg"
SHIPPED = read_attackers(
    (ROOT / "pypow" / "attackers.toml").read_text(encoding="utf-8"), name="shipped"
)

UNSAID_ELSEWHERE = (
    "does not stop a graphics card",
    "order of admission keeps known callers served, not the price",
    "does not tell people from machines",
    "hundreds of identities that have each been used like a real caller's for a day",
    "not the main cost of scraping",
    "the paid rail",
    "the account rail",
)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def unsaid(page: str) -> list[str]:
    """What a page about prices leaves out of what work does not do."""
    section = re.search(r"^## What work does not do\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    said = " ".join(section[1].replace("*", "").split()) if section else ""
    return [words for words in UNSAID_ELSEWHERE if words not in said]


def test_the_page_says_what_work_does_not_do() -> None:
    assert unsaid(PAGE) == []


@pytest.mark.parametrize("words", UNSAID_ELSEWHERE)
def test_a_page_that_leaves_one_of_them_out_is_caught(words: str) -> None:
    loose = r"[\s*]+".join(re.escape(word) for word in words.split())
    assert unsaid(re.sub(loose, "", PAGE)) == [words]


def test_the_cost_table_is_shown_with_every_machine_and_the_date_of_its_rent(
    command: Command,
) -> None:
    table = command("advise", "--table").out
    assert f"$ pypow advise --table\n{table}```" in PAGE
    dates = table.splitlines()[-1].split()
    assert dates == ["of", *(one.price_as_of for one in SHIPPED)]
    assert all(one.name in table for one in SHIPPED)


def test_proxies_cost_more_than_the_hashing_of_any_price_that_people_pay() -> None:
    cheapest = min(SHIPPED, key=lambda one: one.usd_per_million(0))
    found = [
        round(2 * math.log2(60 * usd_per_gb / cheapest.usd_per_million(0))) / 2
        for usd_per_gb in (0.89, 5)
    ]
    assert f"of {found[0]} to {found[1]:g} bits" in " ".join(PAGE.split())


def test_every_profile_is_on_the_page() -> None:
    assert all(re.search(rf"^{name} ", PAGE, re.MULTILINE) for name in PROFILES)


def test_the_picture_is_what_the_command_draws(command: Command, tmp_path: Path) -> None:
    drawn = tmp_path / "advice.svg"
    asked = re.search(r"^\$ pypow (advise --bits .*)$", PAGE, re.MULTILINE)
    assert asked is not None
    assert command(*asked[1].split(), "--plot", str(drawn)).status == 0
    shown = PICTURE.read_text(encoding="utf-8")
    assert drawn.read_text(encoding="utf-8") == shown, f"pypow {asked[1]} --plot {PICTURE}"
