-- Records, and the indexes that they stand in. P is the prefix of all keys: '{namespace:shard}:'.
--
-- P r:<collection>:<key>    the record, a string; its form is told in records.py
-- P k:<collection>          sorted set of keys
-- P c:<collection>          of 04 created_at key
-- P u:<collection>          of 04 updated_at key
-- P f:<collection>:<field>  of sort key, key
-- P x:<collection>          of keys by deadline in milliseconds
-- P s:<collection>          hash: by key the beginning of a record that the server may expire by itself
-- P e                       hash: by collection how often it was changed
-- P i                       sorted set of <collection>:<key> of the records that carry an intent
-- P l:<client>:<slot>       the number and the answer of the last write that came from there

local call = redis.call
local sub, byte, find = string.sub, string.byte, string.find
local unpack_bytes = struct.unpack

local HEADER = 36
local FIRST = 1023 -- what is read of a record before its size is known, less one

-- The order of bytes. The operator < goes by the locale of the server.
local function less(a, b)
  if a == b then return false end
  local n = math.min(#a, #b)
  local at = 1
  while at + 7 <= n do
    local a1, a2 = unpack_bytes('>I4I4', a, at)
    local b1, b2 = unpack_bytes('>I4I4', b, at)
    if a1 ~= b1 then return a1 < b1 end
    if a2 ~= b2 then return a2 < b2 end
    at = at + 8
  end
  while at <= n do
    local a1, b1 = byte(a, at), byte(b, at)
    if a1 ~= b1 then return a1 < b1 end
    at = at + 1
  end
  return #a < #b
end

-- How long the part of a record is that scripts look at: header, version and fields.
local function head_size(head)
  local version, fields = unpack_bytes('>I2I4', head, 27)
  return HEADER + version + fields
end

-- Whether the server may have expired records of a collection.
local kept = {}
local function are_kept(collection)
  if kept[collection] == nil then kept[collection] = call('EXISTS', P .. 's:' .. collection) == 1 end
  return kept[collection]
end

-- What scripts look at of a record, or false. Of one that the server has expired it was kept beside.
local function load(collection, key)
  local name = P .. 'r:' .. collection .. ':' .. key
  local head = call('GETRANGE', name, 0, FIRST)
  if head == '' then
    return are_kept(collection) and call('HGET', P .. 's:' .. collection, key)
  end
  if #head > FIRST then
    local size = head_size(head)
    if size > #head then head = call('GETRANGE', name, 0, size - 1) end
  end
  return head
end

local function is_live(head, now)
  local deadline = sub(head, 10, 17)
  return deadline == NEVER or less(now, deadline)
end

local function version_of(head)
  return sub(head, HEADER + 1, HEADER + unpack_bytes('>I2', head, 27))
end

-- The fields of a record as they are packed.
local function packed_fields(head)
  local version, fields = unpack_bytes('>I2I4', head, 27)
  return sub(head, HEADER + version + 1, HEADER + version + fields)
end

-- Call with the name and the value of each field.
local function each_field(packed, take)
  local at, size = 1, #packed
  while at < size do
    local start = at + 1
    at = start + byte(packed, at)
    local name = sub(packed, start, at - 1)
    local length = unpack_bytes('>I4', packed, at)
    take(name, sub(packed, at + 4, at + 3 + length))
    at = at + 4 + length
  end
end

local ZERO = '\3\128\0\0\0\0\0\0\0'

-- Call with each sort key of a value; of a list first that of the whole, then those of its items.
local function each_sort_key(value, take)
  local tag = byte(value, 1)
  if tag == 6 then
    take(ZERO)
  elseif tag ~= 7 then
    take(value)
  else
    take('\7')
    local at, size = 2, #value
    while at < size do
      local length = unpack_bytes('>I4', value, at)
      take('\8' .. sub(value, at + 4, at + 3 + length))
      at = at + 4 + length
    end
  end
end

-- An instant in whole milliseconds: what it is divided by is taken off first where a number would be too large.
local function milliseconds(instant)
  local high, low = unpack_bytes('>I4I4', instant)
  high = high - 2147483648
  local thousands = math.floor(high / 1000)
  return thousands * 4294967296 + math.floor(((high - thousands * 1000) * 4294967296 + low) / 1000)
end
