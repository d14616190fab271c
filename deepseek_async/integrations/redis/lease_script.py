"""How Redis divides a limit: what :class:`deepseek_async.batch.LeaseTable` does, in one script."""

#: How long a limit that the server stated is taken for the true one, in milliseconds.
STATED_HOLDS = 30_000

# The hash has a field "w:<worker>" for each worker, "until want granted held"; "stated", "limit
# until"; and "settled", a time. Times are milliseconds of the server's clock.
RENEW = """
local key = KEYS[1]
local worker = 'w:' .. ARGV[1]
local want, total, ttl = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local permits, in_flight = tonumber(ARGV[5]), tonumber(ARGV[6])
local stated, stated_holds = tonumber(ARGV[7]), tonumber(ARGV[8])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function whole(number)
  return string.format('%.0f', number)
end

-- Whoever is silent has nothing.
local names, leases = {}, {}
local stated_limit, stated_until, settled = total, 0, 0
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local name, value = fields[i], fields[i + 1]
  if name == 'settled' then
    settled = tonumber(value)
  elseif name == 'stated' then
    local limit, until_ = string.match(value, '(%d+) (%d+)')
    stated_limit, stated_until = tonumber(limit), tonumber(until_)
  else
    local until_, wanted, granted, held = string.match(value, '(%d+) (%d+) (%d+) (%d+)')
    if tonumber(until_) < now then
      redis.call('HDEL', key, name)
    else
      names[#names + 1] = name
      leases[name] = {want = tonumber(wanted), held = tonumber(held)}
    end
  end
end

-- Others, too, may have permits that this table knows nothing of: it was lost, or is not reached.
local is_lost = permits > 0 and not leases[worker]
if #fields == 0 and not is_lost then
  local info = redis.pcall('INFO', 'server')
  local uptime = type(info) == 'string' and string.match(info, 'uptime_in_seconds:(%d+)')
  is_lost = uptime and tonumber(uptime) * 1000 < ttl
end
if is_lost then
  settled = math.max(settled, now + ttl)
  redis.call('HSET', key, 'settled', whole(settled))
end

if stated > 0 then
  stated_limit, stated_until = stated, now + stated_holds
  redis.call('HSET', key, 'stated', whole(stated_limit) .. ' ' .. whole(stated_until))
end
if now < stated_until then
  total = math.min(total, stated_limit)
end

if not leases[worker] then
  names[#names + 1] = worker
  leases[worker] = {held = 0}
end
local is_settling = now < settled
if is_settling then
  want = math.max(1, math.min(want, permits))
end
leases[worker].want = want

-- Nobody gets more than they want, nor more than others who want more; what can't be divided goes
-- to the first ones. Where there is less than one for each they take turns: none waits for ever.
table.sort(names)
local waiting = {}
for place, name in ipairs(names) do
  waiting[place] = name
end
table.sort(waiting, function(a, b)
  if leases[a].want ~= leases[b].want then
    return leases[a].want < leases[b].want
  end
  return a < b
end)
local share, left = want, total
for place, name in ipairs(waiting) do
  local count = #waiting - place + 1
  local level = math.floor(left / count)
  if leases[name].want > level then
    local rest = left - level * count
    local is_served = {}
    for turn = place, #waiting do
      is_served[waiting[turn]] = true
    end
    if is_served[worker] then
      local before = 0
      for _, other in ipairs(names) do
        if other == worker then
          break
        end
        before = before + (is_served[other] and 1 or 0)
      end
      local first = level == 0 and math.floor(now / ttl) * rest or 0
      share = level + ((before - first) % count < rest and 1 or 0)
    end
    break
  end
  left = left - leases[name].want
end

-- What has once been handed out counts until its holder has confirmed that it uses less.
local others = 0
for name, lease in pairs(leases) do
  if name ~= worker then
    others = others + lease.held
  end
end
-- Who has that much already takes it from nobody, even if all together have too much.
local granted = math.min(share, math.max(0, total - others, permits))
if is_settling then
  granted = math.min(granted, permits)
end
local held = math.max(granted, permits, in_flight)
redis.call('HSET', key, worker,
  whole(now + ttl) .. ' ' .. whole(want) .. ' ' .. whole(granted) .. ' ' .. whole(held))
redis.call('PEXPIRE', key, whole(math.max(ttl, stated_holds)))
return {granted, #names}
"""
