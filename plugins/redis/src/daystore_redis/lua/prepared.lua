-- Tell which records carry an intent.
--
-- ARGV: from where on and up to where, as ZRANGEBYLEX takes it. Answers with the name after which to go on, or
-- nothing, and with names and records in turn.

local MOST, MOST_BYTES = 1000, 4194304

local found, bytes, last = {}, 0, ''
local names = redis.call('ZRANGEBYLEX', P .. 'i', ARGV[1], ARGV[2], 'LIMIT', 0, MOST)
for i, name in ipairs(names) do
  local record = redis.call('GET', P .. 'r:' .. name)
  found[#found + 1] = name
  found[#found + 1] = record
  bytes = bytes + #record
  if bytes > MOST_BYTES or i == MOST then
    last = name
    break
  end
end
return { last, found }
