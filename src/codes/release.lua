-- Gives up a claim, if it is one's own. KEYS[1]: as in judge.lua. ARGV[1]: the field, ARGV[2]: the claim's id.
local raw = redis.call('HGET', KEYS[1], ARGV[1])
local code = raw and cjson.decode(raw)
if code and code.claim_id == ARGV[2] then
  code.claim_id = ''
  redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(code))
end
return 1
