-- Counts a use unless a quota is exhausted.
-- KEYS[1]: a sorted set with a member for each use, its score the millisecond.
-- ARGV: now, since, the use's id, then count and milliseconds of each quota.
-- Returns {0} if the use was counted, otherwise {count, milliseconds, when the next use is allowed}.
local now, longest = tonumber(ARGV[1]), 0
local count, millis, allowed_at = 0, 0, 0
for i = 4, #ARGV, 2 do longest = math.max(longest, tonumber(ARGV[i + 1])) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', math.max(now - longest, tonumber(ARGV[2])))
for i = 4, #ARGV, 2 do
  local quota_count, quota_millis = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local nth_newest = redis.call('ZREVRANGE', KEYS[1], quota_count - 1, quota_count - 1, 'WITHSCORES')
  if nth_newest[2] and tonumber(nth_newest[2]) + quota_millis > math.max(now, allowed_at) then
    count, millis, allowed_at = quota_count, quota_millis, tonumber(nth_newest[2]) + quota_millis
  end
end
if count > 0 then return {count, millis, allowed_at} end
redis.call('ZADD', KEYS[1], now, ARGV[3])
redis.call('PEXPIRE', KEYS[1], longest + 60000)
return {0}
