# SPDX-License-Identifier: Apache-2.0
"""`pypow.pricing` inside Redis: what a call lacks, and charging it where that was paid for.

The scripts keep to the letter of `pypow.pricing` and `pypow.accounts`, and find the same bits: all
values are integers below 2**53, which Lua's doubles hold exactly, and for such ``a`` and ``b``
``math.floor(a / b)`` is exact too, since a quotient that is no integer is at least ``1 / b`` away
from the next one, further than any rounding goes. What needs tables or larger numbers (a climate's
rate and burst, the logarithm of a weight) is worked out by the gate and passed in.

An account is seven numbers in a string; what is not there is new. `redis_scripts.CLAIM` charges in
the run that spends the proofs: a call that has to wait spends nothing, and one whose proof was
spent before is not charged.
"""

from collections.abc import Sequence
from typing import Final

from pypow.accounts import DECAY, MAX_SERVED, STEPS_PER_CALL
from pypow.pricing import OVERDRAFT_STEP_Q, UNIT, Tariff
from pypow_server.stores.accounts import KEPT_MS
from pypow_server.stores.holder import Holder

WAIT: Final = 0
CHARGED: Final = 1
_NOBODY: Final = Holder(b"", identified=False, minutes=0, last_minute=0, first_ms=0)

RULES: Final = f"""
local function div(a, b) return math.floor(a / b) end
local decay = {{{",".join(map(str, DECAY))}}}

local function call_of(keys, figures)
local at = 0
local function number()
  at = at + 1
  return tonumber(figures[at])
end

local now, cost, served = number(), number(), number()
local rate, burst = number(), number()
local rate_min, burst_min, burst_new = number(), number(), number()
local credit_per_bit, step_ms = number(), number()
local known_minutes, known_age, standing_minutes = number(), number(), number()
local identified, fresh = number(), number()
local minutes, last_minute, first = number(), number(), number()

local function read(key, credit)
  local text = redis.call('GET', key)
  if not text then
    return {{credit, math.min(credit, burst_min), 0, 0, 0, now, now}}
  end
  local account = {{}}
  for figure in string.gmatch(text, '%-?%d+') do account[#account + 1] = tonumber(figure) end
  return account
end

local function earned(credit, rate, burst, elapsed)
  if elapsed >= -div(-(burst - credit) * 1000, rate) then return burst end
  return credit + div(elapsed * rate, 1000)
end

local function decayed(served, before, after)
  local steps = div(after, step_ms) - div(before, step_ms)
  if steps >= 32 * #decay then return 0 end
  return div(div(served, 2 ^ div(steps, #decay)) * decay[steps % #decay + 1], 2 ^ 20)
end

local function touch(account, cost)
  local at = math.max(now, account[7])
  local elapsed = at - account[7]
  account[1] = earned(account[1], rate, burst, elapsed) - cost
  account[2] = earned(account[2], rate_min, burst_min, elapsed)
  account[3] = decayed(account[3], account[7], at)
  account[7] = at
end

local function lacking(account)
  local needed = math.min(cost, burst_min)
  if account[1] >= needed then return 0 end
  return needed - earned(account[1], rate, burst, math.max(0, now - account[7]))
end

local leaf = read(keys[1], fresh)
if minutes > 0 then
  leaf[4], leaf[5] = math.max(leaf[4], minutes), math.max(leaf[5], last_minute)
  leaf[6] = math.min(leaf[6], first)
end
local networks, shares = {{}}, {{}}
for index = 1, #keys - 1 do
  networks[index], shares[index] = read(keys[1 + index], burst_new), number()
end
local known = leaf[4] >= known_minutes and now - leaf[6] >= known_age
local standing = known and identified == 1 and leaf[4] >= standing_minutes
local assured = standing
  and earned(leaf[2], rate_min, burst_min, math.max(0, now - leaf[7])) >= cost
local function charged(index) return not assured and not (standing and shares[index] == 1) end

local missing, level = math.max(0, lacking(leaf)), 0
for index, account in ipairs(networks) do
  if charged(index) then
    local found = lacking(account)
    if found > missing then missing, level = found, index end
  end
end
local overdraft = -div(-missing * 1024, credit_per_bit)

local function keep_account(key, account, credit, keep)
  local owing = -div(-(credit - account[1]) * 1000, rate_min)
  local kept = string.format('%.0f', math.max(keep, owing))
  for index, figure in ipairs(account) do account[index] = string.format('%.0f', figure) end
  redis.call('SET', key, table.concat(account, ' '), 'PX', kept)
end

local function charge(keep)
  local minute = div(now, 60000)
  touch(leaf, cost)
  if assured then leaf[2] = leaf[2] - cost end
  leaf[3] = math.min({MAX_SERVED}, leaf[3] + served)
  if minute > leaf[5] then leaf[4], leaf[5] = leaf[4] + 1, minute end
  keep_account(keys[1], leaf, fresh, keep)
  for index, account in ipairs(networks) do
    if charged(index) then
      touch(account, div(cost, shares[index]))
      keep_account(keys[1 + index], account, burst_new, keep)
    end
  end
end

local function wait()
  local allowed, allowed_new, keep = number(), number(), number()
  if not known then allowed = allowed_new end
  if overdraft <= allowed then
    charge(keep)
    return nil
  end
  return -div(-(missing - div(math.max(0, allowed) * credit_per_bit, 1024)) * 1000, rate)
end
return {{missing = missing, level = level, overdraft = overdraft, known = known,
  newcomer = leaf[4] == 0, wait = wait, served = leaf[3], minutes = leaf[4], at = leaf[7]}}
end
"""
"""Defines ``call_of``: a call, by the keys of its accounts and the figures that `terms` makes."""

ASK: Final = f"""#!lua flags=no-writes
{RULES}
local call = call_of(KEYS, ARGV)
return {{call.missing, call.level, call.overdraft, call.known and 1 or 0,
  call.served, call.minutes, call.at}}
"""
"""Answers what credit a call lacks, at which level, the surcharge, and whether the leaf is known;
then what the leaf was served, in how many minutes, and when these figures held.

KEYS: the accounts, the leaf first, then the networks around it. ARGV: `terms`.
"""

CHARGE: Final = f"""#!lua
{RULES}
local call = call_of(KEYS, ARGV)
local wait = call.wait()
if wait then
  return {{{WAIT}, call.level, wait, call.missing, call.known and 1 or 0}}
end
return {{{CHARGED}, call.level, call.newcomer and 1 or 0}}
"""
"""Charges a call whose surcharge is no higher than what was paid for, or says how long to wait.

KEYS and ARGV: those of `ASK`, and of `paid`. Answers `CHARGED`, the level and whether the leaf is a
newcomer; or `WAIT`, the level, ms, and as `ASK` does what is missing and whether the leaf is known.
"""


def terms(
    weight: int,
    tariff: Tariff,
    now_ms: int,
    *,
    shares: Sequence[int],
    first_credit: int,
    holder: Holder | None = None,
) -> list[int]:
    """The figures that a call is charged by.

    Args:
        weight: of the call, in units.
        tariff: the constants under the climate of the moment.
        now_ms: Unix ms.
        shares: of the networks, in the order of their keys.
        first_credit: with what the leaf begins if the store does not know it.
        holder: of a standing token, whose account the leaf is; None where it is a network's.
    """
    constants = tariff.constants
    _, identified, minutes, last_minute, first_ms = holder or _NOBODY
    return [
        now_ms,
        weight * UNIT * constants.replicas,
        weight * STEPS_PER_CALL,
        tariff.rate,
        tariff.burst,
        constants.rate_min,
        constants.burst_min,
        constants.burst_new,
        constants.credit_per_bit,
        constants.served_half_life_ms // len(DECAY),
        constants.known_minutes,
        constants.known_age_ms,
        constants.standing_minutes,
        int(identified),
        first_credit,
        minutes,
        last_minute,
        first_ms,
        *shares,
    ]


def paid(overdraft: int, tariff: Tariff) -> list[int]:
    """The figures that follow `terms` where a proof paid for so much overdraft (1/8 bit)."""
    allowed = overdraft * OVERDRAFT_STEP_Q + tariff.constants.slack_q
    return [allowed, allowed, KEPT_MS]


def unpaid(tariff: Tariff) -> list[int]:
    """The figures that follow `terms` where nothing was paid, so that nothing may be owed."""
    return [0, -1 if tariff.entry_q else 0, KEPT_MS]
