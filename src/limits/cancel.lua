-- Takes a use back under every key. KEYS: as in reserve.lua. ARGV[1]: the use's id.
for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end
return 1
