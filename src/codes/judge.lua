-- Counts an attempt, compares, and claims the code on a match: the same steps as memory.rs.
-- KEYS[1]: the hash of one destination and purpose, with a field for each code, and `attempts`.
-- ARGV[1]: the attempt as JSON (see redis.rs); times are in milliseconds.
-- Returns {verdict, text}: 'none', 'tries', 'right', 'claimed'; 'budget' with the quota's count, its
-- milliseconds and when it allows another attempt; 'wrong' with the failed attempt that SQL is to record.
local try = cjson.decode(ARGV[1])
local field = 'code:' .. try.id
local raw = redis.call('HGET', KEYS[1], field)
local code = raw and cjson.decode(raw)
if not code or code.generation ~= try.generation or code.expires <= try.now then return {'none', ''} end

local attempts, times, taken = {}, {}, {}
local extra = ':' .. try.id .. ':' .. string.format('%.0f', try.generation)
local extra_is_spent = false
local function add(list)
  for _, attempt in ipairs(list) do
    local digits = string.match(attempt, '^(%d+):') or string.match(attempt, '^(%d+)$') or '0'
    local at = #digits <= 15 and tonumber(digits) or 0
    if not taken[attempt] and at > try.now - try.kept_ms and at > try.since then
      taken[attempt] = true
      taken[at] = true
      attempts[#attempts + 1] = attempt
      times[#times + 1] = at
      if string.sub(attempt, #digits + 1) == extra then extra_is_spent = true end
    end
  end
end
add(cjson.decode(redis.call('HGET', KEYS[1], 'attempts') or '[]'))
add(try.known)
table.sort(times)

local tries = try.with_id and 'with_id' or 'without_id'
if code[tries] <= 0 then return {'tries', ''} end
local allowed_at, exhausted = 0, nil
for _, quota in ipairs(try.budget) do
  local nth_newest = times[#times - quota[1] + 1]
  if nth_newest and nth_newest + quota[2] >= allowed_at then allowed_at, exhausted = nth_newest + quota[2], quota end
end
local is_spent = allowed_at > try.now
if is_spent and (not try.with_id or not try.allows_extra or extra_is_spent) then
  return {'budget', string.format('%.0f %.0f %.0f', exhausted[1], exhausted[2], allowed_at)}
end

for _, mac in ipairs(try.macs) do
  if mac == code.mac then
    if code.claim_id ~= '' and code.claimed_until > try.now then return {'claimed', ''} end
    code.claim_id = try.claim_id
    code.claimed_until = try.now + try.claim_ms
    redis.call('HSET', KEYS[1], field, cjson.encode(code))
    return {'right', ''}
  end
end

code[tries] = code[tries] - 1
local at = try.now
while taken[at] do at = at + 1 end
local attempt = string.format('%.0f', at) .. (is_spent and extra or '')
attempts[#attempts + 1] = attempt
redis.call('HSET', KEYS[1], field, cjson.encode(code), 'attempts', cjson.encode(attempts))
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', try.now + try.kept_ms + 60000))
return {'wrong', attempt}
