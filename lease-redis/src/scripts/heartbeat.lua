-- Writes one worker's row if it may replace the row that is there, and reads all of them.
-- KEYS[1] the workers of the application
-- ARGV[1] the worker, ARGV[2] its incarnation's number, ARGV[3] the nonce, ARGV[4] the heartbeat, ARGV[5] the row
-- ARGV[6] the heartbeat that registers, ARGV[7] the channel to tell of it (nothing = none)
-- Answers 1, the server's time in milliseconds and all rows; or 0 and the row that is in the way.

-- Numbers are compared as text: they may be larger than what Lua counts exactly.
local function is_less(a, b)
    if #a ~= #b then
        return #a < #b
    end
    return a < b
end

local current = redis.call('HGET', KEYS[1], ARGV[1])
if current then
    local number, nonce, heartbeat = string.match(current, '^(%d+) (%d+) (%d+) ')
    if not number then
        return {0, current}
    end
    local may_replace
    if number == ARGV[2] and nonce == ARGV[3] then
        may_replace = not is_less(ARGV[4], heartbeat)
    else
        may_replace = ARGV[4] == ARGV[6] and is_less(number, ARGV[2])
    end
    if not may_replace then
        return {0, current}
    end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[5])
if ARGV[7] ~= '' then
    redis.pcall('PUBLISH', ARGV[7], '')
end
local time = redis.call('TIME')
local answer = {1, time[1] * 1000 + math.floor(time[2] / 1000)}
for _, row in ipairs(redis.call('HVALS', KEYS[1])) do
    answer[#answer + 1] = row
end
return answer
