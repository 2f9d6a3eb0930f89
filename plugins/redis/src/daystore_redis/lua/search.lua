-- Finding records. What is asked for is told in searching.py; this chooses an index and walks it.
--
-- A span is a reference and the two ends of a range of sort keys, of which the second is not part of it.
-- A segment is a part of an index in the order of the query:
--   { reference, low, high, backwards, flat, missing }
-- flat: all that is in it differs by key alone; missing: only records without the field that is ordered by.

local CHUNK = 256
local FEW = 1000 -- candidates that are sorted rather than walked past in another order

local function index_of(collection, ref)
  local kind = sub(ref, 1, 1)
  if kind == 'f' then return P .. 'f:' .. collection .. ':' .. sub(ref, 2) end
  return P .. kind .. ':' .. collection
end

-- The sort key and the key of an entry of an index.
local function split(ref, member)
  if ref == 'k' then return '', member end
  local tag = byte(member, 1)
  local size
  if tag == 5 or tag == 8 then
    size = find(member, '\0\0', 2, true) + 1
  elseif tag == 1 then
    size = 2
  elseif tag == 7 then
    size = 1
  else
    size = 9
  end
  return sub(member, 1, size), sub(member, size + 1)
end

local function successor(sort_key)
  local at = #sort_key
  while byte(sort_key, at) == 255 do at = at - 1 end
  return sub(sort_key, 1, at - 1) .. string.char(byte(sort_key, at) + 1)
end

-- --- Walking -----------------------------------------------------------------------------------------------

-- What is looked at of a key, nil if there is no live record.
local function candidate_of(search, key)
  local head = load(search.collection, key)
  if head and is_live(head, search.now) then return { key = key, head = head } end
end

-- Walk a part of an index forwards, and give each entry to `visit` until that returns true.
local function forwards(index, low, high, first, visit)
  local from, size = '[' .. low, first
  while true do
    local members = call('ZRANGEBYLEX', index, from, '(' .. high, 'LIMIT', 0, size)
    for _, member in ipairs(members) do
      if visit(member) then return true end
    end
    if #members < size then return false end
    from, size = '(' .. members[#members], CHUNK
  end
end

-- Walk backwards, but where sort keys are equal in the order of keys.
local function backwards(ref, index, low, high, flat, first, visit)
  local to, size = '(' .. high, first
  while true do
    local members = call('ZREVRANGEBYLEX', index, to, '[' .. low, 'LIMIT', 0, size)
    local at = 1
    while at <= #members do
      local sort_key = flat or split(ref, members[at])
      local last = at
      while not flat and last < #members and split(ref, members[last + 1]) == sort_key do last = last + 1 end
      if not flat and last == #members and #members == size then
        -- there may be more with this sort key
        local start = less(sort_key, low) and low or sort_key
        if forwards(index, start, successor(sort_key), size, visit) then return true end
        to = '(' .. sort_key
        break
      end
      for i = last, at, -1 do
        if visit(members[i]) then return true end
      end
      to = '(' .. members[last]
      at = last + 1
    end
    if #members < size then return false end
    size = CHUNK
  end
end

local function size_of(search, spans)
  local size = 0
  for _, span in ipairs(spans) do
    size = size + call('ZLEXCOUNT', index_of(search.collection, span[1]), '[' .. span[2], '(' .. span[3])
  end
  return size
end

local function total(search)
  return call('ZCARD', P .. 'k:' .. search.collection)
end

-- How many records have no place in the order by a field.
local function missing_from(search, ref)
  return total(search) - size_of(search, { { ref, '\1', '\6' } })
end

-- --- Planning ----------------------------------------------------------------------------------------------

-- A cover is { exact, overlapping, spans, segments or false }: spans that hold every record that is looked for;
-- segments, if they come in the order of the query.

-- Choose how to find the first `want` records in order. Returns the cover (nil for all records), whether to walk in
-- order, and how many entries it has.
local function plan_ordered(search, want)
  local all = total(search)
  local smallest, sizes = all, {}
  for i, cover in ipairs(search.covers) do
    sizes[i] = size_of(search, cover[3])
    smallest = math.min(smallest, sizes[i])
  end
  local best, walks, cost = nil, true, all
  if search.filter then cost = math.min(all, want * all / math.max(smallest, 1)) else cost = math.min(all, want) end
  local entries = all
  for i, cover in ipairs(search.covers) do
    local size = sizes[i]
    if cover[4] then
      local steps = cover[1] and math.min(size, want) or math.min(size, want * size / math.max(smallest, 1))
      if steps < cost or size == 0 then best, walks, cost, entries = cover, true, steps, size end
    end
    if size <= FEW and (size < cost or size == 0) then best, walks, cost, entries = cover, false, size, size end
  end
  return best, walks, entries
end

-- Choose how to find all records: the number of the cover, 0 for all of them, and how many entries it has.
local function plan_all(search)
  local best, size = 0, total(search)
  for i, cover in ipairs(search.covers) do
    local entries = size_of(search, cover[3])
    if entries < size or (best == 0 and entries == size) then best, size = i, entries end
  end
  return best, size
end

-- --- Searching ---------------------------------------------------------------------------------------------

-- Walk in order. Gives each record found to `take`, which returns true when it has enough. Returns nil at the end,
-- else the place and key that it has come to when it has looked at `search.budget` entries.
local function walk(search, cover, want, take)
  local filter = search.filter
  if cover and cover[1] then filter = nil end
  local visited, ref = 0, search.order[1]
  local stopped, enough
  for _, segment in ipairs(cover and cover[4] or search.segments) do
    local index, left = index_of(search.collection, segment[1]), nil
    if segment[6] then left = missing_from(search, ref) end
    local function visit(member)
      local place, key = split(segment[1], member)
      if segment[6] or ref == 'k' then place = '' end
      if search.budget > 0 and visited >= search.budget then
        stopped = { search.last_place, search.last_key }
        return true
      end
      visited = visited + 1
      search.last_place, search.last_key = place, key
      local candidate = candidate_of(search, key)
      if segment[6] then
        local head = candidate and candidate.head or load(search.collection, key)
        if place_of({ key = key, head = head }, ref) ~= '' then return false end
        left = left - 1
      end
      if candidate and (not filter or holds(filter, candidate)) then enough = take(candidate) end
      return enough or left == 0
    end
    if left ~= 0 then
      local first = math.min(want, CHUNK)
      if segment[4] then
        backwards(segment[1], index, segment[2], segment[3], segment[5], first, visit)
      else
        forwards(index, segment[2], segment[3], first, visit)
      end
      if stopped or enough then return stopped end
    end
  end
end

-- Look at all that a cover holds, in no order. Gives each record found to `take`. `from` is where to go on, or nil.
-- Returns nil at the end, else where to go on.
local function collect(search, number, from, take)
  local cover = search.covers[number]
  local spans = cover and cover[3] or { { 'k', '', '\255' } }
  local filter = search.filter
  if cover and cover[1] then filter = nil end
  local visited, stopped = 0, nil
  for i = from and from[1] or 1, #spans do
    local ref, low, high = spans[i][1], spans[i][2], spans[i][3]
    if from and from[1] == i then low = from[2] end
    local last
    forwards(index_of(search.collection, ref), low, high, CHUNK, function(member)
      if search.budget > 0 and (visited >= search.budget or search.full) then
        stopped = { i, last and last .. '\0' or low }
        return true
      end
      visited, last = visited + 1, member
      local _, key = split(ref, member)
      local candidate = candidate_of(search, key)
      if candidate
        and not (cover and cover[2] and in_any_span(candidate, spans, i - 1))
        and (not filter or holds(filter, candidate)) then
        take(candidate)
      end
    end)
    if stopped then return stopped end
  end
end

-- The first `want` of what a cover holds, in order.
local function top(search, cover, want)
  local best, order = {}, search.order
  local position = search.position and { place = search.position[1], key = search.position[2] }
  local seen = search.budget
  search.budget = 0
  local kept = search.covers
  search.covers = { cover }
  collect(search, 1, nil, function(candidate)
    candidate.place = place_of(candidate, order[1])
    if position and not is_before(position, candidate, order) then return end
    if #best == want and not is_before(candidate, best[want], order) then return end
    local low, high = 1, #best + 1
    while low < high do
      local middle = math.floor((low + high) / 2)
      if is_before(candidate, best[middle], order) then high = middle else low = middle + 1 end
    end
    table.insert(best, low, candidate)
    best[want + 1] = nil
  end)
  search.budget, search.covers = seen, kept
  return best
end

-- Find a page: the candidates, whether there are more, how many of the offset were passed over, and where it was
-- stopped, if it was.
local function page(search)
  local want = search.offset + search.limit + 1
  local cover, walks = plan_ordered(search, want)
  local found, passed, more = {}, 0, false
  local function take(candidate)
    if passed < search.offset then
      passed = passed + 1
    elseif #found == search.limit then
      more = true
      return true
    else
      found[#found + 1] = candidate
      return search.emit and search.emit(candidate)
    end
  end
  if walks then
    local stopped = walk(search, cover, want, take)
    if search.full and not more and not stopped then stopped = { search.last_place, search.last_key } end
    return found, more, passed, stopped
  end
  for _, candidate in ipairs(top(search, cover, want)) do
    if passed == search.offset and #found == search.limit then
      more = true
    else
      take(candidate)
    end
  end
  return found, more, passed, nil
end

-- What was asked for, from its packed form.
local function search_of(asked)
  return {
    collection = asked[1], now = asked[2], filter = asked[3] or nil, covers = asked[4], order = asked[5],
    position = asked[6] or nil, segments = asked[7], limit = asked[8] or nil, offset = asked[9], budget = asked[10],
  }
end
