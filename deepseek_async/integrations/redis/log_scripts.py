"""What Redis does with the logs of runs, each in one step.

A log is a stream whose ids are ``<position>-<number from 1 up>``, each entry with one field, and a
hash: its epoch, the last id in two parts, its bytes, and whether it is closed.
"""

# KEYS: hash, stream, flag. ARGV: epoch, position, data, milliseconds to live, most bytes, bytes
# that an entry takes beside its data. Returns what became of it.
APPEND = """
local epoch, position, data = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local ttl, most, beside = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local log = redis.call('HMGET', KEYS[1], 'epoch', 'position', 'number', 'bytes', 'closed')
if log[1] ~= epoch and position == 0 then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  log = {epoch, '0', '0', '0', false}
elseif not log[1] then
  return 'forgotten'
end
if log[1] ~= epoch or log[5] then
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
  'bytes', string.format('%.0f', bytes))
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('PEXPIRE', KEYS[2], ttl)
redis.call('PUBLISH', KEYS[2], '')
return 'kept'
"""

# KEYS: hash, stream. ARGV: the id to begin at, how many entries. Returns the epoch, whether the log
# is closed, and the entries.
READ = """
local log = redis.call('HMGET', KEYS[1], 'epoch', 'closed')
if not log[1] then
  return {false, 0, {}}
end
local entries = redis.call('XRANGE', KEYS[2], ARGV[1], '+', 'COUNT', ARGV[2])
for place, entry in ipairs(entries) do
  entries[place] = {entry[1], entry[2][2]}
end
return {log[1], log[2] and 1 or 0, entries}
"""

# KEYS: hash, stream. ARGV: milliseconds to live.
CLOSE = """
if redis.call('EXISTS', KEYS[1]) == 1 then
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
