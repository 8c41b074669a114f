-- Makes a code live, and returns 1 if it is, otherwise 0.
-- KEYS[1]: as in judge.lua. ARGV[1]: the field, ARGV[2]: the code as JSON, ARGV[3]: now in milliseconds.
local new, now = cjson.decode(ARGV[2]), tonumber(ARGV[3])
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if field ~= 'attempts' and field ~= ARGV[1] then
    if cjson.decode(redis.call('HGET', KEYS[1], field)).expires <= now then redis.call('HDEL', KEYS[1], field) end
  end
end
local raw = redis.call('HGET', KEYS[1], ARGV[1])
local code = raw and cjson.decode(raw)
if not code or code.generation < new.generation then
  code = new
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  -- Redis' own clock only tidies: a minute after the end, and never sooner than before.
  local left = redis.call('PTTL', KEYS[1])
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(left, new.expires - now + 60000)))
end
local is_live = code.generation == new.generation and code.expires > now and code.with_id + code.without_id > 0
return is_live and 1 or 0
