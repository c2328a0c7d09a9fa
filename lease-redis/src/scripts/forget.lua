-- Removes one worker's row if it is the very same.
-- KEYS[1] the workers of the application
-- ARGV[1] the worker, ARGV[2] its row, ARGV[3] the channel to tell of it (nothing = none)
-- Answers 1, or what is there instead.
local current = redis.call('HGET', KEYS[1], ARGV[1])
if current ~= ARGV[2] then
    return current
end
redis.call('HDEL', KEYS[1], ARGV[1])
if ARGV[3] ~= '' then
    redis.pcall('PUBLISH', ARGV[3], '')
end
return 1
