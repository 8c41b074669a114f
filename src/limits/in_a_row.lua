-- The failures in a row, with one more if asked. KEYS[1]: the hash of the row.
-- ARGV: now, the length that is full, 1 to add one, after how long without one a row ends, and a full one; milliseconds.
-- Returns the length.
local now, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local row = redis.call('HMGET', KEYS[1], 'count', 'last')
local count, last = tonumber(row[1] or '0'), tonumber(row[2] or '0')
local function pause() return tonumber(count >= most and ARGV[5] or ARGV[4]) end
if now - last >= pause() then count = 0 end
if ARGV[3] == '1' then
  count = count + 1
  redis.call('HSET', KEYS[1], 'count', count, 'last', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', pause() + 60000))
end
return count
