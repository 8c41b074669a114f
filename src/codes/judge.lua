-- Counts a guess, compares, and marks the code on a match: the same steps as memory.rs.
-- KEYS[1]: the hash of one destination and purpose: a field a code, and `guesses`.
-- ARGV[1]: the attempt as JSON (Arguments in redis.rs); times are milliseconds.
-- Answers {verdict, text}: 'none', 'tries', 'right', 'busy'; 'budget' with the window's count, its
-- milliseconds and when it has room;
-- 'wrong' with the guess as SQL is to keep it.
local try = cjson.decode(ARGV[1])
local field = 'code:' .. try.id
local raw = redis.call('HGET', KEYS[1], field)
local code = raw and cjson.decode(raw)
if not code or code.issue ~= try.issue or code.expires <= try.now then return {'none', ''} end

local guesses, times, taken = {}, {}, {}
local extra = ':' .. try.id .. ':' .. string.format('%.0f', try.issue)
local extra_gone = false
local function know(list)
  for _, guess in ipairs(list) do
    local at = tonumber(string.match(guess, '^%d+'))
    if not taken[guess] and at > try.now - try.kept and at > try.since then
      taken[guess] = true
      taken[at] = true
      guesses[#guesses + 1] = guess
      times[#times + 1] = at
      if string.sub(guess, -#extra) == extra then extra_gone = true end
    end
  end
end
know(cjson.decode(redis.call('HGET', KEYS[1], 'guesses') or '[]'))
know(try.known)
table.sort(times)

local tries = try.with_id and 'with_id' or 'without_id'
if code[tries] <= 0 then return {'tries', ''} end
local opens, full = 0, nil
for _, window in ipairs(try.budget) do
  local nth_newest = times[#times - window[1] + 1]
  if nth_newest and nth_newest + window[2] >= opens then opens, full = nth_newest + window[2], window end
end
local spent = opens > try.now
if spent and (not try.with_id or extra_gone) then
  return {'budget', string.format('%.0f %.0f %.0f', full[1], full[2], opens)}
end

for _, mac in ipairs(try.macs) do
  if mac == code.mac then
    if code.mark ~= '' and code.marked_until > try.now then return {'busy', ''} end
    code.mark = try.mark
    code.marked_until = try.now + try.mark_ms
    redis.call('HSET', KEYS[1], field, cjson.encode(code))
    return {'right', ''}
  end
end

code[tries] = code[tries] - 1
local at = try.now
while taken[at] do at = at + 1 end
local guess = string.format('%.0f', at) .. (spent and extra or '')
guesses[#guesses + 1] = guess
redis.call('HSET', KEYS[1], field, cjson.encode(code), 'guesses', cjson.encode(guesses))
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', try.now + try.kept + 60000))
return {'wrong', guess}
