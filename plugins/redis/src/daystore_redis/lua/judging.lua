-- What is in a record, and whether it is what is looked for.
--
-- A reference names what is looked at: k the key, c created_at, u updated_at, f<name> a field.

local function fields_of(candidate)
  local fields = candidate.fields
  if not fields then
    fields = {}
    each_field(packed_fields(candidate.head), function(name, value) fields[name] = value end)
    candidate.fields = fields
  end
  return fields
end

-- What a reference finds in a record, as it is packed; nil if nothing.
local function value_of(candidate, ref)
  local kind = sub(ref, 1, 1)
  if kind == 'f' then return fields_of(candidate)[sub(ref, 2)] end
  if kind == 'c' then return '\4' .. sub(candidate.head, 2, 9) end
  if kind == 'u' then return '\4' .. sub(candidate.head, 18, 25) end
  return candidate.key
end

-- The place of a record in an order: its sort key, or nothing if it has none, or is ordered by key.
local function place_of(candidate, ref)
  if ref == 'k' then return '' end
  local value = value_of(candidate, ref)
  if not value then return '' end
  local tag = byte(value, 1)
  if tag == 7 then return '' end
  return tag == 6 and ZERO or value
end

local function within(sort_key, low, high)
  return not less(sort_key, low) and less(sort_key, high)
end

local function any_sort_key(candidate, ref, test)
  local value = value_of(candidate, ref)
  if not value then return false end
  if ref == 'k' then return test(value) end
  local tag = byte(value, 1)
  if tag ~= 7 then return test(tag == 6 and ZERO or value) end
  local found = false
  each_sort_key(value, function(sort_key) found = found or test(sort_key) end)
  return found
end

local function in_any_span(candidate, spans, last)
  for i = 1, last do
    local span = spans[i]
    if any_sort_key(candidate, span[1], function(s) return within(s, span[2], span[3]) end) then
      return true
    end
  end
  return false
end

-- What judges a sort key by a leaf of a predicate: 'r' in one of some ranges, 'p' one of some points.
local function test_of(node)
  if node[1] == 'r' then
    return function(sort_key)
      for i = 3, #node, 2 do
        if within(sort_key, node[i], node[i + 1]) then return true end
      end
      return false
    end
  end
  local points = {}
  for i = 3, #node do points[node[i]] = true end
  return function(sort_key) return points[sort_key] or false end
end

-- Whether a record satisfies a predicate: a leaf, 'a' all of, 'o' any of, 'n' not.
local holds
holds = function(node, candidate)
  local kind = node[1]
  if kind == 'r' or kind == 'p' then
    node.test = node.test or test_of(node)
    return any_sort_key(candidate, node[2], node.test)
  elseif kind == 'n' then
    return not holds(node[2], candidate)
  end
  local all = kind == 'a'
  for i = 2, #node do
    if holds(node[i], candidate) ~= all then return not all end
  end
  return all
end

-- Whether one record comes before another: both have a place and a key.
local function is_before(a, b, order)
  local ref, descending = order[1], order[2]
  if ref == 'k' then
    if descending then return less(b.key, a.key) end
    return less(a.key, b.key)
  end
  if a.place == b.place then return less(a.key, b.key) end
  if descending then return less(b.place, a.place) end
  return less(a.place, b.place)
end
