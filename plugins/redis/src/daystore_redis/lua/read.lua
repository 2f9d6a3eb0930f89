-- Answer a query, or a part of it.
--
-- ARGV: how (page, all, count, groups, plan); what, packed; from where to go on, packed, or nothing; and the number
-- of changes of the collection that there had been when the first part was answered, or nothing. If there were others
-- since then the answer is nothing but their number: what has been found so far belongs to another state.

local how, asked = ARGV[1], cmsgpack.unpack(ARGV[2])
local from = ARGV[3] ~= '' and cmsgpack.unpack(ARGV[3]) or nil
local search = search_of(asked)
local changes = call('HGET', P .. 'e', search.collection) or '0'
if ARGV[4] ~= '' and ARGV[4] ~= changes then return { changes } end

local MOST_BYTES = 4194304
local bytes = 0

local function record_of(candidate)
  local head = candidate.head
  if #head <= FIRST then return head end
  return call('GET', P .. 'r:' .. search.collection .. ':' .. candidate.key) or head
end

local function emit_into(answer)
  return function(candidate)
    local record = record_of(candidate)
    answer[#answer + 1] = candidate.key
    answer[#answer + 1] = record
    bytes = bytes + #record
    search.full = search.budget > 0 and bytes > MOST_BYTES
    return search.full
  end
end

if how == 'page' then
  local records = {}
  search.emit = emit_into(records)
  local _, more, passed, stopped = page(search)
  return { changes, more and 1 or 0, passed, stopped and stopped[1] or '', stopped and stopped[2] or '', records }
end

if how == 'plan' then
  local ref = search.order[1]
  local missing = sub(ref, 1, 1) == 'f' and missing_from(search, ref) or 0
  if not search.limit then
    local number, entries = plan_all(search)
    return { changes, number, 0, entries, total(search), missing }
  end
  local cover, walks, entries = plan_ordered(search, search.offset + search.limit + 1)
  local number = 0
  for i, other in ipairs(search.covers) do
    if other == cover then number = i end
  end
  return { changes, number, walks and 1 or 0, entries, total(search), missing }
end

local number = from and from[1] or plan_all(search)
local state = from and { from[2], from[3] }

local function rest(stopped)
  return stopped and cmsgpack.pack({ number, stopped[1], stopped[2] }) or ''
end

if how == 'all' then
  local records = {}
  local emit = emit_into(records)
  local position = search.position and { place = search.position[1], key = search.position[2] }
  local stopped = collect(search, number, state, function(candidate)
    candidate.place = place_of(candidate, search.order[1])
    if position and not is_before(position, candidate, search.order) then return end
    emit(candidate)
  end)
  return { changes, rest(stopped), records }
end

if how == 'count' then
  local cover = search.covers[number]
  local x, last = P .. 'x:' .. search.collection, string.format('%.0f', milliseconds(search.now))
  if not from and ((cover and cover[1] and not cover[2]) or not (cover or search.filter)) then
    local spans = cover and cover[3]
    local count = cover and size_of(search, spans) or total(search)
    local expired = call('ZCOUNT', x, '-inf', last)
    if expired <= FEW and expired <= count then
      for _, key in ipairs(call('ZRANGEBYSCORE', x, '-inf', last)) do
        local head = load(search.collection, key)
        local gone = head and not is_live(head, search.now)
        if gone and (not spans or in_any_span({ key = key, head = head }, spans, #spans)) then count = count - 1 end
      end
      return { changes, '', count }
    end
  end
  local count = 0
  local stopped = collect(search, number, state, function() count = count + 1 end)
  return { changes, rest(stopped), count }
end

-- Groups. Integers are summed as two halves of 32 bits, so that no sum is rounded; floats are given as they are.
local group_by, functions = asked[11], asked[12]
local groups, order = {}, {}

local function packed_of(candidate, ref)
  local value = value_of(candidate, ref)
  if value and ref ~= 'k' and byte(value, 1) == 6 then return ZERO end
  return value or ''
end

local function add(sum, candidate, fn, ref)
  local value = ref and packed_of(candidate, ref)
  if fn == 'count' then
    if not ref or value ~= '' then sum[1] = (sum[1] or 0) + 1 end
    return
  end
  if value == '' then return end
  if fn == 'sum' then
    local tag = ref ~= 'k' and byte(value, 1)
    if tag == 2 then
      local high, low = unpack_bytes('>I4I4', value, 2)
      sum[1], sum[2], sum[3] = (sum[1] or 0) + 1, (sum[2] or 0) + high, (sum[3] or 0) + low
    elseif tag == 3 then
      sum.floats = sum.floats or {}
      sum.floats[#sum.floats + 1] = sub(value, 2)
    end
  elseif ref == 'k' or byte(value, 1) ~= 7 then
    local best = sum[1]
    if not best or (fn == 'min' and less(value, best)) or (fn == 'max' and less(best, value)) then sum[1] = value end
  end
end

local stopped = collect(search, number, state, function(candidate)
  local values, name = {}, ''
  for i, ref in ipairs(group_by) do
    values[i] = packed_of(candidate, ref)
    name = name .. struct.pack('>I4', #values[i]) .. values[i]
  end
  local group = groups[name]
  if not group then
    group = { values = values, sums = {} }
    for i = 1, #functions do group.sums[i] = {} end
    groups[name] = group
    order[#order + 1] = group
  end
  for i, fn in ipairs(functions) do add(group.sums[i], candidate, fn[1], fn[2] or nil) end
end)

local answer = {}
for _, group in ipairs(order) do
  local sums = {}
  for i, fn in ipairs(functions) do
    local sum = group.sums[i]
    if fn[1] == 'count' then
      sums[i] = sum[1] or 0
    elseif fn[1] == 'sum' then
      sums[i] = { sum[1] or 0, sum[2] or 0, sum[3] or 0, table.concat(sum.floats or {}) }
    else
      sums[i] = sum[1] or ''
    end
  end
  answer[#answer + 1] = { group.values, sums }
end
return { changes, rest(stopped), answer }
