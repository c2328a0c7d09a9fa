-- Writes or removes one lease if it has the expected version and epoch.
-- KEYS[1] the leases of the application
-- ARGV[1] the lease, ARGV[2] its expected version and epoch (nothing = absent), ARGV[3] the row (nothing = remove it)
-- ARGV[4] the channel to tell of it (nothing = none)
-- ARGV[5] on: commands to carry out with the write, each as the count of its words, then its words
-- Answers 1, or what is there instead.
local current = redis.call('HGET', KEYS[1], ARGV[1])
local found = ''
if current then
    found = string.match(current, '^(%d+ %d+) ') or 'damaged'
end
if found ~= ARGV[2] then
    if current == ARGV[3] then
        -- Written before, and the reply was lost. Once more, so that a WAIT on this connection waits for it.
        redis.call('HSET', KEYS[1], ARGV[1], current)
    end
    return current
end
local next = 5
while ARGV[next] do
    local count = tonumber(ARGV[next])
    redis.call(unpack(ARGV, next + 1, next + count))
    next = next + 1 + count
end
if ARGV[3] == '' then
    redis.call('HDEL', KEYS[1], ARGV[1])
else
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
if ARGV[4] ~= '' then
    redis.pcall('PUBLISH', ARGV[4], '')
end
return 1
