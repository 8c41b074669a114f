-- Counts an attempt within the limit of its client, judges it, and leaves only one that was wrong counted.
-- Before it stand `reserve`, `judge` and `cancel`: the scripts of these names, as functions.
-- KEYS: that of judge.lua, then those of reserve.lua; ARGV likewise.
-- Returns what judge.lua returns, or {'denied', text}: the quota's count, its milliseconds and when it allows
-- another attempt.
local limit_keys, use = {unpack(KEYS, 2)}, {unpack(ARGV, 2)}
local denial = reserve(limit_keys, use)
if denial[1] > 0 then return {'denied', string.format('%.0f %.0f %.0f', unpack(denial))} end
local verdict = judge(KEYS, ARGV)
if verdict[1] ~= 'wrong' and verdict[1] ~= 'none' then cancel(limit_keys, {use[3]}) end
return verdict
