-- Say how a namespace is laid out, and lay it out if it is new.
--
-- ARGV: the layout of this version, how many shards it is to have, and whether it is a cache. Answers with what it is.

local name = P .. 'm'
local found = redis.call('HMGET', name, 'layout', 'shards', 'cache')
if not found[1] then
  redis.call('HSET', name, 'layout', ARGV[1], 'shards', ARGV[2], 'cache', ARGV[3])
  return ARGV
end
return found
