# SPDX-License-Identifier: Apache-2.0
"""The sales in Redis or Valkey, read beside the gates that make them."""

from collections.abc import Iterator, Sequence
from typing import Final

from pypow_server.sale import Sale

from . import redis_scripts as scripts
from .books import PAYMENTS, Counted
from .redis_address import RedisAddress
from .redis_connection import RedisConnection, Reply, ScriptCall
from .redis_records import sale_of
from .sales import PAGE

_NONE: Final = -1

# KEYS: spends, sales. ARGV: which of the two to walk through, 1 or 2; where that goes on; what its
# fields begin with; how many at a time. Answers where to go on, and of each key found the uses that
# both record, -1 where one does not know it: both of one moment, whatever is spent meanwhile.
_COUNT: Final = f"""#!lua flags=no-writes
local found = redis.call(
  'HSCAN', KEYS[tonumber(ARGV[1])], ARGV[2], 'MATCH', ARGV[3] .. '*', 'COUNT', ARGV[4])
local answer = {{}}
for n = 1, #found[2], 2 do
  local key = string.sub(found[2][n], 2)
  answer[#answer + 1] = key
  answer[#answer + 1] = tonumber(redis.call('HGET', KEYS[1], ':' .. key) or {_NONE})
  answer[#answer + 1] = tonumber(redis.call('HGET', KEYS[2], '+' .. key) or {_NONE})
end
return {{found[1], answer}}
"""


class RedisBooks:
    """The books of one deployment."""

    def __init__(self, address: RedisAddress) -> None:
        """Connect.

        Args:
            address: where they are.

        Raises:
            StoreError: they cannot be reached.
        """
        self._spends = address.key("spends")
        self._sales = (address.key("sales"), address.key("sold"))
        self._connection = RedisConnection(address, (scripts.SOLD, _COUNT))

    async def sold(
        self, *, since_ms: int, until_ms: int, after: Sale | None = None, most: int = PAGE
    ) -> Sequence[Sale]:
        """One page; see `Sales.sold`."""
        at_ms, last = (since_ms, b"") if after is None else (after.at_ms, after.payment_hash)
        reply = self._run(
            ScriptCall(scripts.SOLD, self._sales, (at_ms, until_ms, last.hex(), most))
        )
        return [sale_of(*each) for each in zip(reply[::2], reply[1::2], strict=True)]

    def counted(self) -> Iterator[Sequence[Counted]]:
        """Every payment; see `Books.counted`."""
        yield from self._walk(1, b":" + PAYMENTS)
        for some in self._walk(2, b"+"):
            # Those with a spend were met before.
            yield [found for found in some if found.ledger is None]

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _walk(self, which: int, beginning: bytes) -> Iterator[Sequence[Counted]]:
        keys, cursor = (self._spends, self._sales[0]), b"0"
        while True:
            cursor, found = self._run(ScriptCall(_COUNT, keys, (which, cursor, beginning, PAGE)))
            yield [
                Counted(key.removeprefix(PAYMENTS), _known(uses), _known(spent))
                for key, uses, spent in zip(found[::3], found[1::3], found[2::3], strict=True)
            ]
            if cursor == b"0":
                return

    def _run(self, call: ScriptCall) -> Reply:
        (reply,) = self._connection.run([call])
        if isinstance(reply, Exception):
            raise reply
        return reply


def _known(uses: int) -> int | None:
    return None if uses == _NONE else uses
