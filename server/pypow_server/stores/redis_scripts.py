# SPDX-License-Identifier: Apache-2.0
"""What happens inside Redis: every decision within one run of a script, so that each is atomic.

Spends that wait together are decided by one run, one after the other: to begin a script, and to
ask the server what it is, costs far more than a spend.

A ledger is two keys. ``spends`` is a hash: the uses of each key spent, in a field with a colon
before it; and ``seed``, ``beat`` and ``high``, so that nothing can lose the uses and keep the
epoch. ``expiries`` is a sorted set that says which of them may be dropped. A limiter is ``levels``
(a hash) and ``ends`` (a sorted set) in the same way, and ``revoked`` is a sorted set. Records have
no expiry of Redis's: its clock is not the ledger's, and may be set forward. What was sold for money
is ``sales`` (a hash: the sale of each key, in a field with a colon before it, and the uses spent of
it, with a plus) and ``sold``, a sorted set of payment hashes and keys by time. Who took uses that
are not answered is ``attempts``, and until when gates are alive ``lives``, both hashes.

The epoch is made of ``seed``, which is random and lies with the data, and of the server's
replication id, which does not: a server has a new one when it starts, and when it becomes master.
So data that was flushed has another seed; data that was restored, or lags behind a failover, is on
a server with another id; and what two masters hand out that each take the other for dead, can be
spent on one of them only. The seed is also renewed when its heartbeat, by the server's clock, is
not fresh, and when the ledger's clock is behind what a gate has seen of it: both are signs of a
whole machine put back to an earlier state.

Scripts that begin with ``#!lua`` are refused as a whole by a server that is a replica, out of
memory or unable to persist; none stops halfway. Numbers above 2**53 are rounded in Lua, and are
milliseconds some 285,000 years from now.
"""

from typing import Final

from pypow_server.stores import SKEW_MS
from pypow_server.stores.attempts import MOST_DEPARTURES, MOST_UNANSWERED
from pypow_server.stores.credit_script import RULES
from pypow_server.stores.sales import FORGOTTEN_AT_ONCE

FRESH_MS: Final = 5_000
_BEAT_MS: Final = 500
_DROPS: Final = 3

WON: Final = 1
LOST: Final = 2
STALE: Final = 3
UNKNOWN: Final = 4
EARLY: Final = 5
CHARGED: Final = 6
CHARGED_FIRST: Final = 7
HELD: Final = 8

# KEYS: spends, expiries. ARGV: a new seed, should one be needed; the ledger's clock as the gate
# last saw it; the latest time of the spends, 0 for none.
_SETTLE: Final = f"""#!lua
local info = redis.call('INFO', 'replication')
local replid = string.match(info, 'master_replid:(%x+)')
if not (replid and string.find(info, 'role:master', 1, true)) then
  return redis.error_reply('READONLY pypow needs a master and its replication id')
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local meta = redis.call('HMGET', KEYS[1], 'seed', 'beat', 'high')
local seed, beat, high = meta[1], tonumber(meta[2] or 0), meta[3] or '0'
local fresh = seed and math.abs(now - beat) <= {FRESH_MS} and tonumber(high) >= tonumber(ARGV[2])
local latest = high
if tonumber(ARGV[2]) > tonumber(latest) then latest = ARGV[2] end
if tonumber(ARGV[3]) > tonumber(latest) then latest = ARGV[3] end
if not fresh then seed = ARGV[1] end
if not fresh or latest ~= high or math.abs(now - beat) >= {_BEAT_MS} then
  redis.call('HSET', KEYS[1], 'seed', seed, 'beat', string.format('%.0f', now), 'high', latest)
end
high = latest
local epoch = tonumber(string.sub(redis.sha1hex(seed .. replid), 1, 8), 16)
"""

BEAT: Final = f"""{_SETTLE}
if not string.find(redis.call('INFO', 'memory'), 'maxmemory_policy:noeviction', 1, true) then
  return redis.error_reply('ERR its maxmemory-policy is not noeviction')
end
return {{0, epoch, high}}
"""

# How a use of a payment is found that a request took, among what is recorded of its key.
_TAKEN: Final = """
local function each_taken(text)
  return string.gmatch(text, '((%x+) (%S+) (%d+) (%d+);)')
end
local function replaced(text, old, new)
  local from, to = string.find(text, old, 1, true)
  return string.sub(text, 1, from - 1) .. new .. string.sub(text, to + 1)
end
local function keep(attempts, field, text)
  if text == '' then redis.call('HDEL', attempts, field) else
    redis.call('HSET', attempts, field, text) end
end
"""

# KEYS besides: sales, times of sales, attempts, lives; the accounts of all charges. ARGV besides:
# the spends, in one argument, because each argument costs the client a microsecond: for each the
# key's length, the challenge's epoch or -1, its expiry, the limit, how many accounts are charged,
# how long the figures are by which they are, how long what is said of its payment is, the key, the
# figures and what is said: the attempt and the sale. The answer has one digit for each, and how
# long each of those has to wait that came early. What expired is dropped after the spends, so that
# nothing is dropped that was just used again.
CLAIM: Final = f"""{_SETTLE}
{RULES}
{_TAKEN}
local claims, fields, asked, at, first = {{}}, {{}}, ARGV[4], 1, 7
while at <= #asked do
  local _, stop, length, of, expiry, limit, accounts, figures, said = string.find(
    asked, '^(%d+) (%-?%d+) (%d+) (%d+) (%d+) (%d+) (%d+) ', at)
  at = stop + 1 + length
  local key = string.sub(asked, stop + 1, at - 1)
  claims[#claims + 1] = {{
    key = key, epoch = tonumber(of), expiry = expiry, limit = tonumber(limit), first = first,
    accounts = tonumber(accounts), figures = string.sub(asked, at, at + figures - 1)}}
  fields[#fields + 1] = ':' .. key
  at, first = at + figures, first + accounts
  if said ~= '0' then claims[#claims].said = string.sub(asked, at, at + said - 1) end
  at = at + said
end
local function pay(claim)
  if claim.accounts == 0 then return nil, {WON} end
  local keys, figures = {{}}, {{}}
  for n = 1, claim.accounts do keys[n] = KEYS[claim.first + n - 1] end
  for figure in string.gmatch(claim.figures, '%-?%d+') do figures[#figures + 1] = figure end
  local call = call_of(keys, figures)
  return call.wait(), call.newcomer and {CHARGED_FIRST} or {CHARGED}
end
local function is_over(claim, life, number)
  if life == '-' then return true end
  if life == claim.life then return tonumber(number) < tonumber(claim.oldest) end
  return tonumber(redis.call('HGET', KEYS[6], life) or 0) <= now
end
local function back(claim, field)
  claim.request, claim.life, claim.number, claim.oldest, claim.lasts, claim.sale =
    string.match(claim.said, '^(%x+) (%x+) (%d+) (%d+) (%d+) (.*)$')
  redis.call('HSET', KEYS[6], claim.life, string.format('%.0f', now + claim.lasts))
  claim.taken = redis.call('HGET', KEYS[5], field) or ''
  local mine = claim.request .. ' ' .. claim.life .. ' ' .. claim.number .. ' '
  for entry, request, life, number, departures in each_taken(claim.taken) do
    if request == claim.request then
      if is_over(claim, life, number) then
        keep(KEYS[5], field, replaced(claim.taken, entry, mine .. departures .. ';'))
        return true
      end
      claim.held = true
    end
  end
  claim.mine = mine .. '0;'
end
local function has_room(claim)
  if select(2, string.gsub(claim.taken, ';', '')) < {MOST_UNANSWERED} then return true end
  for entry, _, life, number in each_taken(claim.taken) do
    if is_over(claim, life, number) then
      claim.taken = replaced(claim.taken, entry, '')
      return true
    end
  end
  return false
end
local function sell(claim, field)
  keep(KEYS[5], field, claim.taken .. claim.mine)
  if not redis.call('HGET', KEYS[3], field) then
    local at, hash = string.match(claim.sale, '^(%d+) (%x+) ')
    redis.call('HSET', KEYS[3], field, claim.sale)
    redis.call('ZADD', KEYS[4], at, hash .. claim.key)
  end
  redis.call('HINCRBY', KEYS[3], '+' .. claim.key, 1)
end
local dropped = tonumber(high) - {SKEW_MS}
local recorded = redis.call('HMGET', KEYS[1], unpack(fields))
local uses, answers, used, ends, waits = {{}}, {{}}, {{}}, {{}}, {{}}
for n, claim in ipairs(claims) do
  local before = uses[claim.key] or tonumber(recorded[n] or 0)
  if claim.epoch ~= -1 and claim.epoch ~= epoch then answers[n] = {STALE}
  elseif tonumber(claim.expiry) <= dropped then answers[n] = {UNKNOWN}
  elseif claim.said and back(claim, fields[n]) then
    answers[n] = claim.accounts == 0 and {WON} or {CHARGED}
  elseif before >= claim.limit then answers[n] = claim.held and {HELD} or {LOST}
  elseif claim.said and not has_room(claim) then answers[n] = {HELD}
  else
    local early, won = pay(claim)
    if early then
      answers[n], waits[#waits + 1] = {EARLY}, early
    else
      answers[n], uses[claim.key] = won, before + 1
      used[#used + 1], used[#used + 2] = fields[n], string.format('%.0f', before + 1)
      ends[#ends + 1], ends[#ends + 2] = claim.expiry, claim.key
      if claim.said then sell(claim, fields[n]) end
    end
  end
end
if #used > 0 then
  redis.call('HSET', KEYS[1], unpack(used))
  redis.call('ZADD', KEYS[2], 'GT', unpack(ends))
  local due = redis.call('ZRANGE', KEYS[2], '-inf', string.format('%.0f', dropped),
    'BYSCORE', 'LIMIT', 0, {_DROPS} * #claims)
  if #due > 0 then
    redis.call('ZREM', KEYS[2], unpack(due))
    for n, old in ipairs(due) do due[n] = ':' .. old end
    redis.call('HDEL', KEYS[1], unpack(due))
    redis.call('HDEL', KEYS[5], unpack(due))
  end
end
return {{table.concat(answers), epoch, high, waits}}
"""

# KEYS: attempts. ARGV: the key; life and number of the attempt; what it is replaced by, `answered`
# for nothing; how many departures are the last. Answers whether it was there.
END: Final = f"""#!lua
{_TAKEN}
local field, own = ':' .. ARGV[1], ARGV[2]
local text = redis.call('HGET', KEYS[1], field) or ''
for entry, request, life, number, departures in each_taken(text) do
  if life .. ' ' .. number == own then
    local left, after = tonumber(departures) + (ARGV[3] == 'left' and 1 or 0), ''
    if ARGV[3] ~= 'answered' and left <= {MOST_DEPARTURES} then
      after = string.format('%s - %s %d;', request, number, left)
    end
    keep(KEYS[1], field, replaced(text, entry, after))
    return 1
  end
end
return 0
"""

# KEYS: lives. ARGV: a life; how long it goes on from now. Lives that have ended are dropped.
LIVE: Final = """#!lua
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + ARGV[2]))
local all = redis.call('HGETALL', KEYS[1])
for n = 1, #all, 2 do
  if tonumber(all[n + 1]) <= now then redis.call('HDEL', KEYS[1], all[n]) end
end
return 0
"""

# KEYS: spends, sales, attempts, and the accounts charged. ARGV: the key; life and number of the
# attempt that must still have the use, or nothing; from how many minutes on the first of the
# accounts may have paid alone, -1 for never; what each was charged.
RELEASE: Final = f"""#!lua
{_TAKEN}
local field, own = ':' .. ARGV[1], ARGV[2]
if own ~= '' then
  local text, mine = redis.call('HGET', KEYS[3], field) or '', nil
  for entry, _, life, number in each_taken(text) do
    if life .. ' ' .. number == own then mine = entry end
  end
  if not mine then return 0 end
  keep(KEYS[3], field, replaced(text, mine, ''))
end
if tonumber(redis.call('HGET', KEYS[1], field) or 0) > 0 then
  redis.call('HINCRBY', KEYS[1], field, -1)
  local sold = '+' .. ARGV[1]
  if tonumber(redis.call('HGET', KEYS[2], sold) or 0) > 0 then
    redis.call('HINCRBY', KEYS[2], sold, -1)
  end
  local alone = tonumber(ARGV[3])
  for n = 4, #KEYS do
    local text = redis.call('GET', KEYS[n]) or ''
    local credit, rest = string.match(text, '^(%-?%d+)( .*)$')
    if credit then
      local after = string.format('%.0f', tonumber(credit) + tonumber(ARGV[n]))
      redis.call('SET', KEYS[n], after .. rest, 'KEEPTTL')
    end
    local minutes = tonumber(string.match(text, '^%-?%d+ %-?%d+ %d+ (%d+) ') or math.huge)
    if n == 4 and alone >= 0 and minutes >= alone then break end
  end
end
return 0
"""

# KEYS: revoked. ARGV: the pass, its expiry, before which expiry others are dropped.
REVOKE: Final = """#!lua
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
return 0
"""

# KEYS: revoked. ARGV: the expiry after which a pass still counts.
REVOKED: Final = """#!lua flags=no-writes
return redis.call('ZRANGE', KEYS[1], '(' .. ARGV[1], '+inf', 'BYSCORE')
"""

# KEYS: sales, times of sales. ARGV: from when; up to when; the payment hash of the last sale of the
# page before, which was at that moment, or nothing; how many. Answers each sale and its uses spent.
SOLD: Final = """#!lua flags=no-writes
local most, found, seen = tonumber(ARGV[4]), {}, 0
repeat
  local some = redis.call('ZRANGE', KEYS[2], ARGV[1], '(' .. ARGV[2],
    'BYSCORE', 'LIMIT', seen, most, 'WITHSCORES')
  for n = 1, #some, 2 do
    local is_later = tonumber(some[n + 1]) > tonumber(ARGV[1])
    if #found < 2 * most and (is_later or string.sub(some[n], 1, 64) > ARGV[3]) then
      local key = string.sub(some[n], 65)
      found[#found + 1] = redis.call('HGET', KEYS[1], ':' .. key)
      found[#found + 1] = tonumber(redis.call('HGET', KEYS[1], '+' .. key) or 0)
    end
  end
  seen = seen + most
until #found >= 2 * most or #some < 2 * most
return found
"""

# KEYS: sales, times of sales. ARGV: before when. Answers whether there may be more.
FORGET: Final = f"""#!lua
local old = redis.call(
  'ZRANGE', KEYS[2], '-inf', '(' .. ARGV[1], 'BYSCORE', 'LIMIT', 0, {FORGOTTEN_AT_ONCE})
for _, each in ipairs(old) do
  local key = string.sub(each, 65)
  redis.call('HDEL', KEYS[1], ':' .. key, '+' .. key)
end
if #old > 0 then redis.call('ZREM', KEYS[2], unpack(old)) end
return #old == {FORGOTTEN_AT_ONCE} and 1 or 0
"""

# KEYS: a record. Answers what is recorded, and the server's time.
LOOK: Final = """#!lua flags=no-writes
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
return {redis.call('GET', KEYS[1]) or '', string.format('%.0f', now)}
"""

# KEYS: a record. ARGV: what must be recorded, and what shall be.
REPLACE: Final = """#!lua
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""

# The rules of `gcra.take`. KEYS: levels, ends. ARGV: the key; the calls; the quota's calls and
# period; the time; how many levels are kept.
TAKE: Final = f"""#!lua
local key, calls = ARGV[1], tonumber(ARGV[2])
local quota, period, now = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local capacity = quota * period
local at, used = now, 0
local level = redis.call('HGET', KEYS[1], key)
if level then
  local was_at, was_used = string.match(level, '^(%d+) (%d+)$')
  was_at, was_used = tonumber(was_at), math.min(tonumber(was_used), capacity)
  if was_at - now <= period then
    at = math.max(now, was_at)
    used = math.max(0, was_used - (at - was_at) * quota)
  end
end
local fit = used + calls * period <= capacity
if fit then
  used = used + calls * period
  redis.call('HSET', KEYS[1], key, string.format('%.0f %.0f', at, used))
  redis.call('ZADD', KEYS[2], string.format('%.0f', at + math.ceil(used / quota)), key)
end
local drop = redis.call(
  'ZRANGE', KEYS[2], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, {_DROPS})
if #drop == 0 and redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[6]) then
  drop = redis.call('ZRANGE', KEYS[2], 0, 0)
end
for _, old in ipairs(drop) do
  redis.call('HDEL', KEYS[1], old)
  redis.call('ZREM', KEYS[2], old)
end
return {{fit and 1 or 0, string.format('%.0f', at), string.format('%.0f', used)}}
"""
