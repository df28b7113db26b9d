# SPDX-License-Identifier: Apache-2.0
"""The words of docs/difficulty.md, and what an earlier simulation found."""

from collections.abc import Mapping

HEAD = """\
# Difficulty

How pypow decides what a call costs and who is served first, what that does under attack, and \
what no difficulty can do. The tables are played by the laboratory (`pypow simulate`); `make \
laboratory` plays them again and renders this page from [what it \
kept](../benchmarks/results/laboratory.json). Edit `benchmarks/difficulty_words.py`, not this \
page.

## In short

- **A difficulty does not protect your users.** One rented GPU grinds a thousand times as fast \
as a phone. Every gate below that only sets a price leaves most honest calls unserved under a \
botnet.
- **The order of admission does.** Who was served before, in many minutes, goes first. Known \
callers hold in every attack below but those with farmed identities, and they hold without any \
work too: see the row of a plain limit before pypow's queue.
- **What work buys** is that a flood costs something, that a greedy caller pays twice as much \
for each few calls more, and that a stranger needs no account.
- **Identities that were used like users for days** are served like users. Then open the paid \
or the account rail.

## What the controller does

| loop | how fast | what it decides | code |
|---|---|---|---|
| order | each call | who is served when more wait than can be | `pypow/admission.py` |
| price | each call | bits: base, weight of the call, overdraft of the caller, entry of \
newcomers | `pypow/pricing.py` |
| climate | each second | how much everybody may use before it costs more; what newcomers pay \
| `pypow/steering.py` |
| base | each day | the base price, from the speed of known callers | `pypow/steering.py` |

Every caller earns credit, and may go into overdraft, where the price doubles with each few \
calls. Nobody's price follows from what others do, but for the allowance, which never shrinks \
below its floor. A proof that was made stays good: at most it has to wait.
"""

SETUP = """\
## The laboratory

A run takes 10 minutes in steps of 0.1 s; the attack holds the middle six. The server can do \
50 calls a second; 100 calls may wait, at most 2 s. 600 honest callers make a call a minute \
each, one after the other, try again after about 1 s with the proof they have, and give up \
after 30 s. Four fifths of them are *known*: they were served once a minute for a day. One \
fifth is *new* and comes during the attack only. Attackers try again after 0.8 s, take the \
identity that they used longest ago, solve whatever it costs, and know nothing of users that \
the gate does not tell. Calls that began during the attack, and 30 s or more before its end, \
are counted. Latency is of calls that were served: a row that serves few flatters itself.
"""

SERVED = """\
## Who is served

Share of honest calls that were served during the attack, and the 95th percentile of how long \
they took. Gates other than pypow's serve first come first served, Tor's the highest bid. An \
empty cell was not played. The last rows leave a part of pypow out: without the order of \
admission its price protects nobody from many addresses; without standing, identities that \
come in numbers go first; without escalation as many are served, and attackers pay less.
"""

OURS = """\
## pypow's own callers

The goal: known callers are served in 99.5 % of their calls, within a second in 99 of 100, in \
S2, S3a to S3d and S5. New callers are indistinguishable from an attacker's fresh addresses; \
they share a fifth of the turns with those, and have a lot in the lottery. Against thousands \
of addresses they fare worse than first come first served would have them: that is what known \
callers are protected with.
"""

COST = """\
## What the attacker gets, and pays

Calls of the attacker that were served a second, and the work for one of them, all he did \
counted. The server works as long as somebody waits, so an attacker takes what nobody else \
wants: if volume itself must fall, lower the allowance of strangers; a price will not do it.
"""

LIMITS = """\
## What work cannot do

Identities that were used like a user's for a day and then rested for an hour, each from its \
own address, played with the H100. Nothing that a gate sees tells them from users. From about \
a hundred on known callers wait and some are not served; against thousands even first come \
first served treats them better.
"""

RAILS = """\
## When to open another rail

| you see | it means | open |
|---|---|---|
| known callers wait longer, new ones are served | more identities with a past than you have \
users | paid or account |
| new callers wait, known ones do not | strangers in number; users are safe | paid, for those \
in a hurry |
| a few principals with high overdraft | greedy agents, who pay in work | a pass, or the paid \
rail, if you want their money |
| the volume of anonymous calls is the harm (scraping) | work costs scrapers less than their \
addresses do | account, or no free calls |
| callers with slow hardware give up | the base price is too high | `pypow calibrate`, `pypow \
advise` |
"""

MODEL = """\
## What the model leaves out

Callers behind one address and the levels of IPv6 networks, the lag of a shared store, the \
cost of checking, a server that slows down, and the network. Each attacker's identity counts \
as a network of its own, which is better than attackers have it. Honest callers make their \
calls one after the other. There is one resource. How eager attackers are (0.8 s against 1 s) \
is the one number that was fitted, to one cell: fixed 18 bits under the botnet. [On real \
sockets](evidence/sockets.md) there are two gates, their store and the cost of checking too, and \
known callers hold as they do here.

Other systems are doubles of a few lines: `pypow/laboratory/prices.py` names the file and the \
commit of each, and what was read. They show what a law does, not what a product is worth. \
Tor's work is Equi-X, whose hashes are not SHA-256's: 2^14 of ours stand for one unit of \
effort.
"""

REPEAT = """\
## Repeat it

```sh
make laboratory    # what is not kept; an hour on two cores
pypow simulate --attack S3b --seeds 3
pypow simulate --attack farmed:512 --capacity 200 --callers 2000 --plot farmed.svg
pypow simulate --policy pypow.toml --call "tools/call search" --attack botnet:1000
```

The same seeds give the same figures everywhere. With `--policy` the price and the free calls \
of that entry become the base price and the allowance.
"""

AGAINST = """\
## Against an earlier simulation

The design was chosen by a simulation that was written before the code, by other hands. Its \
shares of honest calls served are reproduced within 3 points, but for these cells:
"""

EARLIER: Mapping[str, Mapping[str, float]] = {
    gate: dict(zip(("S2", "S3a", "S3b", "S3c", "S3d", "S5"), shares, strict=False))
    for gate, shares in {
        "fixed-18": (25, 68, 67, 41, 41, 24),
        "fixed-22": (22, 64, 64, 40, 40, 24),
        "mcaptcha-coded": (23, 63, 64, 40, 40, 24),
        "mcaptcha-intended": (23, 62, 63, 39, 39, 25),
        "tor-300": (26, 23, 21, 28, 29, 76),
        "tor-30": (44, 44, 45, 46, 46, 50),
        "miden": (21, 60, 60, 38, 38, 23),
        "private-captcha": (24, 67, 67, 42, 42, 25),
        "eip-1559": (18, 48, 47, 31, 31, 27),
        "bucket": (24, 100, 65, 42, 42),
        "bucket-queue": (98, 100, 100, 89, 95),
        "fifo": (24, 100, 67, 41, 42, 25),
        "no-standing": (66, 100, 100, 30, 93, 66),
        "no-escalation": (98, 100, 100, 87, 93, 98),
        "fair-share": (98, 100, 100, 88, 93, 98),
    }.items()
}
"""Percent of honest calls served, of three seeds; its spread was up to 4 points."""

EARLIER_FARMED = {"farmed:128": 100.0, "farmed:256": 95, "farmed:512": 76, "S4c": 49, "S4d": 16}
TOLERANCE = 3.0

WHY_OTHERWISE: Mapping[str, str] = {
    "S5": "here an attacker begins nothing between his pulses but brings the proofs he has, so "
    "the queue relaxes; what the earlier one did in the pauses is not recorded",
    "tor": "what a unit of effort was in the earlier one, and when a caller noticed a failure, is "
    "not recorded",
    "eip-1559": "the price still rises when the attack ends; how far depends on its first seconds",
    "no-standing": "only recent use counts, and here honest callers have used their share until "
    "the attack begins; what the earlier one took for it is not recorded",
    "farmed": "here honest callers have used their share until the attack begins, while the "
    "identities rested; what the earlier one took for both is not recorded",
}
"""By the beginning of a gate's name, or by scenario."""
