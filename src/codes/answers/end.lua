-- Keeps the answer of a request, or forgets it, unless another has begun since. KEYS[1]: its hash.
-- ARGV: the request's id, now, until when it is kept, the sealed answer or ''.
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
if ARGV[4] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'until', ARGV[3], 'answer', ARGV[4])
return redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[3]) - tonumber(ARGV[2]) + 60000)
