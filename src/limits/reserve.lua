-- Counts a use under every key, unless a quota is exhausted under one of them.
-- KEYS: sorted sets with a member for each use, its score the millisecond.
-- ARGV: now, since, the use's id, how many times the quotas hold under each key, then count and milliseconds of each quota.
-- Returns {0} if the use was counted, otherwise {count, milliseconds, when the next use is allowed}.
local now, longest = tonumber(ARGV[1]), 0
local count, millis, allowed_at = 0, 0, now
local first = 4 + #KEYS
for i = first, #ARGV, 2 do longest = math.max(longest, tonumber(ARGV[i + 1])) end
for k, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', math.max(now - longest, tonumber(ARGV[2])))
  for i = first, #ARGV, 2 do
    local quota_count, quota_millis = tonumber(ARGV[i]) * tonumber(ARGV[3 + k]), tonumber(ARGV[i + 1])
    local nth_newest = redis.call('ZREVRANGE', key, quota_count - 1, quota_count - 1, 'WITHSCORES')
    if nth_newest[2] and tonumber(nth_newest[2]) + quota_millis > allowed_at then
      count, millis, allowed_at = quota_count, quota_millis, tonumber(nth_newest[2]) + quota_millis
    end
  end
end
if count > 0 then return {count, millis, allowed_at} end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[3])
  redis.call('PEXPIRE', key, longest + 60000)
end
return {0}
