-- Takes a mark off, if it is ours. KEYS[1]: as in judge.lua. ARGV[1]: field, ARGV[2]: the mark.
local raw = redis.call('HGET', KEYS[1], ARGV[1])
local code = raw and cjson.decode(raw)
if code and code.mark == ARGV[2] then
  code.mark = ''
  redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(code))
end
return 1
