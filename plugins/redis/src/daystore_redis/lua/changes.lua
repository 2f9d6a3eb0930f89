-- Changes are collected first, and made together at the end: a command for each index instead of one for each entry.

local MOST = 1000 -- arguments of one command
local added, removed, forgotten, remembered -- by index or hash
local values, gone, changed -- names and records; names; how often by collection

local function begin()
  added, removed, forgotten, remembered = {}, {}, {}, {}
  values, gone, changed = {}, {}, {}
end

local function note(indexes, index, a, b)
  local entries = indexes[index]
  if not entries then
    entries = {}
    indexes[index] = entries
  end
  entries[#entries + 1] = a
  if b then entries[#entries + 1] = b end
end

local function in_parts(command, name, arguments)
  for start = 1, #arguments, MOST do
    local last = math.min(start + MOST - 1, #arguments)
    if name then
      call(command, name, unpack(arguments, start, last))
    else
      call(command, unpack(arguments, start, last))
    end
  end
end

local function entries_of(packed)
  local entries = {}
  each_field(packed, function(name, value)
    each_sort_key(value, function(sort_key)
      local of_field = entries[name]
      if not of_field then
        of_field = {}
        entries[name] = of_field
      end
      of_field[sort_key] = true
    end)
  end)
  return entries
end

-- Note the entries of one record, but not those that are among others.
local function note_fields(indexes, collection, key, entries, others)
  for name, sort_keys in pairs(entries) do
    local index, there = P .. 'f:' .. collection .. ':' .. name, others[name]
    for sort_key in pairs(sort_keys) do
      if there and there[sort_key] then
        -- stays as it is
      elseif indexes == added then
        note(added, index, 0, sort_key .. key)
      else
        note(removed, index, sort_key .. key)
      end
    end
  end
end

local function note_instant(name, place, collection, key, old, record)
  local before, after = old and sub(old, place, place + 7), record and sub(record, place, place + 7)
  if before == after then return end
  local index = P .. name .. ':' .. collection
  if before then note(removed, index, '\4' .. before .. key) end
  if after then note(added, index, 0, '\4' .. after .. key) end
end

-- Note how the indexes change when a record takes the place of `old`; either may be false.
local function note_indexes(collection, key, old, record)
  if not (old and record) then
    if record then note(added, P .. 'k:' .. collection, 0, key) else note(removed, P .. 'k:' .. collection, key) end
  end
  note_instant('c', 2, collection, key, old, record)
  note_instant('u', 18, collection, key, old, record)
  local before, after = old and packed_fields(old) or '', record and packed_fields(record) or ''
  if before ~= after then
    local was, is = entries_of(before), entries_of(after)
    note_fields(removed, collection, key, was, is)
    note_fields(added, collection, key, is, was)
  end
  if record and sub(record, 10, 17) ~= NEVER then
    note(added, P .. 'x:' .. collection, milliseconds(sub(record, 10, 17)), key)
  elseif old and sub(old, 10, 17) ~= NEVER then
    note(removed, P .. 'x:' .. collection, key)
  end
end

local function remove(collection, key, old)
  gone[#gone + 1] = P .. 'r:' .. collection .. ':' .. key
  changed[collection] = (changed[collection] or 0) + 1
  if PLAIN then return end
  note_indexes(collection, key, old, false)
  if are_kept(collection) then note(forgotten, P .. 's:' .. collection, key) end
end

-- When the server may take a record away by itself, in milliseconds; nil if never.
local function end_of(record)
  local deadline = sub(record, 10, 17)
  if NATIVE and deadline ~= NEVER then
    local last = milliseconds(deadline) + GRACE
    return last > 0 and last or nil
  end
end

-- Write a record, but for its entries in indexes.
local function keep(collection, key, record)
  local name, last = P .. 'r:' .. collection .. ':' .. key, end_of(record)
  if last then
    call('SET', name, record, 'PXAT', string.format('%.0f', last))
  else
    values[#values + 1] = name
    values[#values + 1] = record
  end
  if PLAIN then return end
  if last then
    note(remembered, P .. 's:' .. collection, key, sub(record, 1, head_size(record)))
  elseif are_kept(collection) then
    note(forgotten, P .. 's:' .. collection, key)
  end
end

-- Write a record over `old`, which may be false, and may have expired.
local function put(collection, key, record, old)
  changed[collection] = (changed[collection] or 0) + 1
  keep(collection, key, record)
  if not PLAIN then note_indexes(collection, key, old, record) end
end

local function make_changes()
  in_parts('DEL', nil, gone)
  in_parts('MSET', nil, values)
  for index, entries in pairs(removed) do in_parts('ZREM', index, entries) end
  for index, entries in pairs(added) do in_parts('ZADD', index, entries) end
  for name, keys in pairs(forgotten) do in_parts('HDEL', name, keys) end
  for name, heads in pairs(remembered) do in_parts('HSET', name, heads) end
  for collection, number in pairs(changed) do call('HINCRBY', P .. 'e', collection, number) end
end

-- Take away some records whose deadline is longer ago than GRACE, but none with an intent. Tells whether there may
-- be more of them.
local function sweep(now)
  local more = false
  local until_then = string.format('%.0f', milliseconds(now) - GRACE)
  for _, collection in ipairs(call('HKEYS', P .. 'e')) do
    local keys = call('ZRANGEBYSCORE', P .. 'x:' .. collection, '-inf', until_then, 'LIMIT', 0, SWEPT)
    local taken = 0
    for _, key in ipairs(keys) do
      local old = load(collection, key)
      if not old then
        note(removed, P .. 'x:' .. collection, key)
        taken = taken + 1
      elseif byte(old, 26) == 0 and not is_live(old, now) then
        remove(collection, key, old)
        taken = taken + 1
      end
    end
    more = more or (#keys == SWEPT and taken > 0)
  end
  return more
end
