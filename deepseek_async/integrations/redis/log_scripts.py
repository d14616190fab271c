"""What Redis does with the logs of runs, each in one step.

A log is a stream whose ids are ``<position>-<number from 1 up>``, each entry with one field, and a
hash: its epoch, the last id in two parts, its bytes, whether it is closed, and the epochs that it
had before. A Redis that is short of memory may have dropped one of the two: then it has no log.
"""

# KEYS: hash, stream, flag. ARGV: epoch, position, data, milliseconds to live, most bytes, bytes
# that an entry takes beside its data, how many characters of the epochs before are kept. Returns
# what became of it.
APPEND = """
local epoch, position, data = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local ttl, most, beside = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local most_before = tonumber(ARGV[7])
local log = redis.call('HMGET', KEYS[1], 'epoch', 'position', 'number', 'bytes', 'closed', 'before')
local before = log[6] or ''
local is_there = log[1] and redis.call('EXISTS', KEYS[2]) == 1
if position == 0 and (log[1] ~= epoch or not is_there) then
  -- Whoever was replaced while it had nothing to tell must not take the log back.
  if string.find(' ' .. before, ' ' .. epoch .. ' ', 1, true) then
    return 'replaced'
  end
  if log[1] and log[1] ~= epoch then
    before = string.sub(log[1] .. ' ' .. before, 1, most_before)
  end
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  log = {epoch, '0', '0', '0', false}
elseif log[1] and log[1] ~= epoch then
  return 'replaced'
elseif not is_there then
  return 'forgotten'
end
if log[5] then
  return 'replaced'
end
local last, number, bytes = tonumber(log[2]), tonumber(log[3]), tonumber(log[4])
if position < last then
  -- Under way for so long that its writer has sent it again, with more.
  return 'kept'
end
if position > last then
  number = 0
end
local id = ARGV[2] .. '-' .. number
local entry = number > 0 and redis.call('XRANGE', KEYS[2], id, id)[1]
if entry and entry[2][2] == data then
  return 'kept'
end
-- Behind the first one of a position, each tells for the moment only.
local is_old = entry and number > 1
if is_old then
  bytes = bytes - #entry[2][2] - beside
end
bytes = bytes + #data + beside
if bytes > most then
  return 'full'
end
if is_old then
  redis.call('XDEL', KEYS[2], id)
end
number = number + 1
redis.call('XADD', KEYS[2], ARGV[2] .. '-' .. number, 'd', data)
redis.call('HSET', KEYS[1], 'epoch', epoch, 'position', ARGV[2], 'number', number,
  'bytes', string.format('%.0f', bytes), 'before', before)
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('PEXPIRE', KEYS[2], ttl)
redis.call('PUBLISH', KEYS[2], '')
return 'kept'
"""

# KEYS: hash, stream. ARGV: the position and the number to begin at, how many entries. The number is
# -1 for whoever has had the position: what is there of it is left out, what comes later is a sign
# of life. Returns the epoch, whether the log is closed, where it did begin, and the entries.
READ = """
local at, number = tonumber(ARGV[1]), tonumber(ARGV[2])
local log = redis.call('HMGET', KEYS[1], 'epoch', 'closed', 'position', 'number')
if not log[1] then
  return {false, 0, at, number, {}}
end
local last, count = tonumber(log[3]), tonumber(log[4])
if number < 0 and last > at then
  at, number = at + 1, 0
elseif number < 0 and last == at then
  number = count + 1
elseif last < at or (last == at and number > count + 1) then
  -- It was lost and is told anew, its entries are counted anew.
  number = 1
end
local begin = string.format('%.0f-%.0f', at, number)
local entries = redis.call('XRANGE', KEYS[2], begin, '+', 'COUNT', ARGV[3])
for place, entry in ipairs(entries) do
  entries[place] = {entry[1], entry[2][2]}
end
return {log[1], log[2] and 1 or 0, at, number, entries}
"""

# KEYS: hash, stream. ARGV: milliseconds to live, the epoch; none: whichever it is.
CLOSE = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and (ARGV[2] == '' or ARGV[2] == epoch) then
  redis.call('HSET', KEYS[1], 'closed', 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
  redis.call('PUBLISH', KEYS[2], '')
end
"""

# KEYS: flag. ARGV: milliseconds to live.
RAISE = """
redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
redis.call('PUBLISH', KEYS[1], '')
"""
