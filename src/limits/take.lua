-- Counts a use unless a window is full.
-- KEYS[1]: a sorted set, a member a use, its score the millisecond.
-- ARGV: now, since, the use's name, then count and milliseconds of each window.
-- Answers {0} when it passed, else {count, window's milliseconds, when it opens}.
local now, longest = tonumber(ARGV[1]), 0
local count, window, opens = 0, 0, 0
for i = 4, #ARGV, 2 do longest = math.max(longest, tonumber(ARGV[i + 1])) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', math.max(now - longest, tonumber(ARGV[2])))
for i = 4, #ARGV, 2 do
  local most, millis = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local nth_newest = redis.call('ZREVRANGE', KEYS[1], most - 1, most - 1, 'WITHSCORES')
  if nth_newest[2] and tonumber(nth_newest[2]) + millis > math.max(now, opens) then
    count, window, opens = most, millis, tonumber(nth_newest[2]) + millis
  end
end
if count > 0 then return {count, window, opens} end
redis.call('ZADD', KEYS[1], now, ARGV[3])
redis.call('PEXPIRE', KEYS[1], longest + 60000)
return {0}
