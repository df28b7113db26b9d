-- SPDX-License-Identifier: Apache-2.0
-- Asks for one path, each time with the next of the values in a file as one header field; prints
-- what came of it as JSON. Without a file every request is the same.
--   wrk ... -s gate.lua URL -- PATH [FIELD FILE]

local requests, at = {}, 0

function init(arguments)
  local path, field, file = arguments[1], arguments[2], arguments[3]
  if not file then
    requests[1] = wrk.format("GET", path)
    return
  end
  for value in io.lines(file) do
    requests[#requests + 1] = wrk.format("GET", path, { ["Host"] = "gate.example", [field] = value })
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "us": %d, "refused": %d, "broken": %d, "p50_us": %d}',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50)
  ))
end
