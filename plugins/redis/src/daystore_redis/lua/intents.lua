-- Intents: what a transaction will do to a record, at the end of that record; their form is told in records.py.

local ENVELOPE = '["application/octet-stream",null,null,[]]'
local ZERO_INSTANT = '\128\0\0\0\0\0\0\0'
-- The record of an intent that stands alone, which stands in no index: it expired at the beginning of time.
local PLACEHOLDER = '\1' .. ZERO_INSTANT .. ZERO_INSTANT .. ZERO_INSTANT .. '\2'
  .. struct.pack('>I2I4I4', 0, 0, #ENVELOPE) .. ENVELOPE

local function carries_intent(head)
  return byte(head, 26) ~= 0
end

-- What stands in indexes of a record: nothing of a placeholder.
local function indexed(head)
  return head and byte(head, 26) ~= 2 and head
end

local function last_bytes(collection, key, number)
  return call('GETRANGE', P .. 'r:' .. collection .. ':' .. key, -number, -1)
end

local function is_held_by(transaction, collection, key)
  return last_bytes(collection, key, 16) == transaction
end

-- Put an intent beside a record. The server is not to take the record away meanwhile.
local function prepare(collection, key, intent, old, live)
  local name, ends = P .. 'r:' .. collection .. ':' .. key, old and sub(old, 10, 17) ~= NEVER
  if live and not (ends and call('EXISTS', name) == 0) then
    call('APPEND', name, intent)
    call('SETRANGE', name, 25, '\1')
    if ends then call('PERSIST', name) end
  else
    if old then remove(collection, key, old) end
    values[#values + 1] = name
    values[#values + 1] = PLACEHOLDER .. intent
  end
  note(added, P .. 'i', 0, collection .. ':' .. key)
end

-- Forget that a record carries an intent, when what has it is written over or removed.
local function forget_intent(collection, key)
  note(removed, P .. 'i', collection .. ':' .. key)
end

-- Take an intent away, and leave the record as it was. What is not alive goes as well.
local function release(collection, key, old, live)
  if live then
    local record = call('GET', P .. 'r:' .. collection .. ':' .. key)
    local rest = unpack_bytes('>I4', record, #record - 19)
    keep(collection, key, sub(record, 1, 25) .. '\0' .. sub(record, 27, #record - 20 - rest))
  else
    remove(collection, key, indexed(old))
  end
end
