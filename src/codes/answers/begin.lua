-- Looks a request up, and reserves its name if it is new. KEYS[1]: its hash.
-- ARGV: the body's fingerprint, the request's id, now, until when it may run; times are in milliseconds.
-- Returns {'new' | 'running' | 'another' | 'answered', the sealed answer}.
local kept = redis.call('HMGET', KEYS[1], 'fingerprint', 'until', 'answer')
if kept[1] and tonumber(kept[2]) > tonumber(ARGV[3]) then
  if kept[1] ~= ARGV[1] then return {'another', ''} end
  if kept[3] == '' then return {'running', ''} end
  return {'answered', kept[3]}
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'id', ARGV[2], 'until', ARGV[4], 'answer', '')
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[4]) - tonumber(ARGV[3]) + 60000)
return {'new', ''}
