-- Apply a batch, once.
--
-- ARGV: slot, number and token of the write; deadline by the server's clock in microseconds, 0 for none; now;
-- flags (a: atomic, s: sweep, n: the server may expire records by itself, p: without indexes); queries to check; then for each operation
-- its kind and expectation, its collection, its key, and for a put its record, for a prepare its intent.
--
-- Kinds: P put, K put that keeps the deadline, D delete, C check, I prepare, R release. Expectations: * anything,
-- - nothing, = this version, @ the intent of this transaction.
--
-- An answer is one text: '0' or '1' for each operation that was applied, by whether a live record was there; for each
-- other one why not, the length of the current version and that version. Why is 'c' if the expectation did not hold,
-- 'p' if a transaction has prepared the record. Of an atomic batch that was not applied it is 'x', why, the place of
-- the operation and its current version; or 'q', why, and the place of the query. Before it there may be an 's': there
-- is more to sweep.

local now, flags = ARGV[4], ARGV[5]
NATIVE, PLAIN = find(flags, 'n', 1, true), find(flags, 'p', 1, true)
local atomic = find(flags, 'a', 1, true)

local log = P .. 'l:' .. ARGV[1]
local before = call('GET', log)
if before then
  local last = sub(before, 1, 16)
  if last == ARGV[2] then
    call('SET', log, before, 'PX', 3600000) -- a write, for a command that waits until it is kept
    return sub(before, 17)
  end
  if tonumber(last) > tonumber(ARGV[2]) then return redis.error_reply('DAYSTORESTALE') end
end
local deadline = tonumber(ARGV[3])
if deadline > 0 then
  local time = call('TIME')
  if time[1] * 1000000 + time[2] > deadline then return redis.error_reply('DAYSTORELATE') end
end

local function answer(text)
  call('SET', log, ARGV[2] .. text, 'PX', 3600000)
  return text
end

-- Why an operation on `old` is refused; nil if it is not.
local function refusal(at, old, live)
  local kind, collection, key = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local prepared, expected = old and carries_intent(old), sub(kind, 2, 2)
  local holds
  if expected == '@' then
    holds = prepared and is_held_by(sub(kind, 3), collection, key)
  elseif prepared then
    local again = sub(kind, 1, 1) == 'I' and ARGV[at + 3]
    if not (again and last_bytes(collection, key, #again) == again) then return 'p' end
    holds = true
  else
    holds = expected == '*' or (expected == '-' and not live)
      or (expected == '=' and live and version_of(old) == sub(kind, 3))
  end
  return not holds and 'c' or nil
end

local at, place, answers, work = 7, 0, {}, {}
while at <= #ARGV do
  local verb, old = sub(ARGV[at], 1, 1), load(ARGV[at + 1], ARGV[at + 2])
  local live = old and is_live(old, now)
  local why = refusal(at, old, live)
  if why then
    local current = live and version_of(old) or ''
    if atomic then return answer('x' .. why .. struct.pack('>I4', place) .. current) end
    answers[#answers + 1] = why .. struct.pack('>I2', #current) .. current
  else
    answers[#answers + 1] = live and '1' or '0'
    if verb ~= 'C' then work[#work + 1] = { at, verb, old, live } end
  end
  place = place + 1
  at = at + ((verb == 'P' or verb == 'K' or verb == 'I') and 4 or 3)
end

local failed, why = failed_check(ARGV[6], now)
if failed then return answer('q' .. why .. struct.pack('>I4', failed)) end

begin()
for _, item in ipairs(work) do
  local at, verb, old, live = item[1], item[2], item[3], item[4]
  local collection, key = ARGV[at + 1], ARGV[at + 2]
  local prepared = old and carries_intent(old)
  if verb == 'I' then
    if not prepared then prepare(collection, key, ARGV[at + 3], old, live) end
  else
    if prepared then forget_intent(collection, key) end
    if verb == 'R' then
      release(collection, key, old, live)
    elseif verb == 'D' then
      if old then remove(collection, key, indexed(old)) end
    else
      local record = ARGV[at + 3]
      if live then
        local expires = verb == 'K' and sub(old, 10, 17) or sub(record, 10, 17)
        record = sub(record, 1, 1) .. sub(old, 2, 9) .. expires .. sub(record, 18)
      end
      put(collection, key, record, indexed(old))
    end
  end
end
make_changes()
local text = table.concat(answers)
if find(flags, 's', 1, true) then
  begin()
  if sweep(now) then text = 's' .. text end
  make_changes()
end
return answer(text)
