-- Run the queries again that a batch depends on. Returns the place of the first that fails, and why: 'c' if it finds
-- something else, 'p' if a record of its collection carries an intent of another transaction than `own`.

local function finds_same(search, expected)
  if search.limit then
    local found = page(search)
    for i, candidate in ipairs(found) do
      if candidate.key ~= expected[2 * i - 1] or version_of(candidate.head) ~= expected[2 * i] then return false end
    end
    return #found == #expected / 2
  end
  local found, number, before = {}, 0, nil
  local position = search.position and { place = search.position[1], key = search.position[2] }
  collect(search, plan_all(search), nil, function(candidate)
    candidate.place = place_of(candidate, search.order[1])
    if position and not is_before(position, candidate, search.order) then return end
    found[candidate.key], number = candidate, number + 1
  end)
  if math.max(number - search.offset, 0) ~= #expected / 2 then return false end
  local first = found[expected[1]]
  for i = 1, #expected, 2 do
    local candidate = found[expected[i]]
    if not candidate or version_of(candidate.head) ~= expected[i + 1] then return false end
    if before and not is_before(before, candidate, search.order) then return false end
    before, found[expected[i]] = candidate, nil
  end
  for _, passed in pairs(first and found or {}) do
    if not is_before(passed, first, search.order) then return false end
  end
  return true
end

local function is_prepared(collection, own)
  local low, high = '[' .. collection .. ':', '(' .. collection .. ';'
  if not own then return call('ZLEXCOUNT', P .. 'i', low, high) > 0 end
  for _, name in ipairs(call('ZRANGEBYLEX', P .. 'i', low, high)) do
    if call('GETRANGE', P .. 'r:' .. name, -16, -1) ~= own then return true end
  end
  return false
end

local function failed_check(packed, now)
  if packed == '' then return end
  local own, checks = unpack(cmsgpack.unpack(packed))
  for i, check in ipairs(checks) do
    local search = search_of(check[1])
    search.budget = 0
    if is_prepared(search.collection, own) then return i - 1, 'p' end
    if not finds_same(search, check[2]) then return i - 1, 'c' end
  end
end
