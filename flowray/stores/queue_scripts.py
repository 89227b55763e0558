"""The queue's scripts. ARGV[1] is always the prefix of all keys.

What is known of a run is one hash: `queue` says where it is (waiting, leased, parked), `lease` is its fence, `takes`
how often it was taken, `queued` its place in the queue, `cancel` why it shall stop; its journal writes `finished`.
"""

from __future__ import annotations

_COMMON = """
local P = ARGV[1]
local TENANTS, LEASES, PARKED, BELL = P..'queue:tenants', P..'queue:leases', P..'queue:parked', P..'queue:bell'
local function hash(tenant, run) return P..tenant..':run:'..run end
local function line(tenant) return P..tenant..':queue:waiting' end
local function split(member) return string.match(member, '^([^/]*)/(.*)$') end
local function now()
  local t = redis.call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1000000
end
-- What was refused before it ever waited was not accepted, and its journal is that of no run.
local function forget(tenant, run)
  redis.call('DEL', hash(tenant, run), P..tenant..':journal:'..run)
  redis.call('ZREM', P..tenant..':runs:all', run)
  redis.call('ZREM', P..'open', tenant..'/'..run)
end
local here
local function process()
  here = here or string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  return here
end
local function wait(tenant, run, at)
  local key = hash(tenant, run)
  redis.call('HSET', key, 'queue', 'waiting', 'queued', at)
  redis.call('EXPIRE', key, 2592000)
  redis.call('ZADD', line(tenant), at, run)
  redis.call('ZADD', TENANTS, 'NX', redis.call('GET', P..'queue:turn') or 0, tenant)
  redis.call('LPUSH', BELL, 1)
  redis.call('LTRIM', BELL, 0, 999)
end
local function lease(tenant, run, holder, for_s)
  local key = hash(tenant, run)
  local t = now()
  local number = math.max(tonumber(redis.call('HGET', key, 'lease') or 0) + 1, math.floor(t * 1000000))
  local word = string.format('%.0f', number)
  redis.call('HSET', key, 'queue', 'leased', 'lease', word, 'holder', holder, 'process', process())
  redis.call('ZADD', LEASES, t + for_s, tenant..'/'..run)
  return {tenant..'/'..run, word, redis.call('HINCRBY', key, 'takes', 1), redis.call('HGET', key, 'cancel') or ''}
end
local function pop(tenant)
  local found = redis.call('ZPOPMIN', line(tenant))
  if redis.call('EXISTS', line(tenant)) == 0 then redis.call('ZREM', TENANTS, tenant) end
  return found[1]
end
-- What is known of an open run is kept for as long again: a run may be parked for a year.
local function known(tenant, run)
  local key = hash(tenant, run)
  local queue, finished = unpack(redis.call('HMGET', key, 'queue', 'finished'))
  if queue and not finished then
    redis.call('EXPIRE', key, 2592000)
    redis.call('EXPIRE', P..tenant..':journal:'..run, 2592000)
  end
  return queue or finished
end
local function forgot(begun, by, up_s)
  if begun == '' then return false end
  return redis.call('GET', P..'filling:runs') ~= begun or process() ~= by
    or tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')) < tonumber(up_s)
end
-- For so long after Redis was started again, nothing is handed out: it may have forgotten who has what, and who lives
-- claims it again first. The time counts from the first question: before it, Redis may have been busy reading its log.
local function settles(for_s)
  local key = P..'queue:server'
  local known, since = unpack(redis.call('HMGET', key, 'process', 'since'))
  if known ~= process() then
    since = known and now() or 0
    redis.call('HSET', key, 'process', process(), 'since', string.format('%.6f', since))
  end
  local passed = now() - tonumber(since)
  return passed >= 0 and passed < tonumber(for_s)
end
local function add(all, row) for _, word in ipairs(row) do all[#all + 1] = word end end
"""

# ARGV: tenant, run, at, the most that may wait or nothing.
_OFFER = """
local tenant, run, at = ARGV[2], ARGV[3], ARGV[4]
local key = hash(tenant, run)
local queue, finished = unpack(redis.call('HMGET', key, 'queue', 'finished'))
if finished or (queue and queue ~= 'parked') then return 0 end
if ARGV[5] ~= '' and redis.call('ZCARD', line(tenant)) >= tonumber(ARGV[5]) then
  if not queue then forget(tenant, run) end
  return -1
end
redis.call('ZREM', PARKED, tenant..'/'..run)
wait(tenant, run, at)
return 1
"""

# ARGV: tenant, run, and what Redis has to be the same as since: what the filling of its queue was begun with, its
# process, and how many seconds that has to be up; all empty when that does not matter.
_KNOWS = """
if known(ARGV[2], ARGV[3]) then return 1 end
return forgot(ARGV[4], ARGV[5], ARGV[6]) and -1 or 0
"""

# ARGV: tenant, run, then as above, and at.
_RECOVER = """
local tenant, run = ARGV[2], ARGV[3]
if known(tenant, run) then return 0 end
if forgot(ARGV[4], ARGV[5], ARGV[6]) then return -1 end
wait(tenant, run, ARGV[7])
return 1
"""

# ARGV: holder, most, seconds, how long a restarted Redis settles, `turns` or `chosen`, and the chosen tenants.
# What is parked and due wakes first; then what was let run out is taken, then what waits.
_TAKE = """
local holder, most, for_s = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if settles(ARGV[5]) then return {} end
local taken, count, t = {}, 0, now()
for _, member in ipairs(redis.call('ZRANGEBYSCORE', PARKED, '-inf', t, 'LIMIT', 0, 100)) do
  local tenant, run = split(member)
  redis.call('ZREM', PARKED, member)
  wait(tenant, run, t)
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', t, 'LIMIT', 0, most)) do
  local tenant, run = split(member)
  if redis.call('HEXISTS', hash(tenant, run), 'finished') == 1 then
    redis.call('ZREM', LEASES, member)
    redis.call('HDEL', hash(tenant, run), 'queue')
  else
    add(taken, lease(tenant, run, holder, for_s))
    count = count + 1
  end
end
local function serve(tenant)
  local run = pop(tenant)
  if not run then return end
  if redis.call('EXISTS', line(tenant)) == 1 then
    redis.call('ZADD', TENANTS, redis.call('INCR', P..'queue:turn'), tenant)
  end
  if redis.call('HEXISTS', hash(tenant, run), 'finished') == 0 then
    add(taken, lease(tenant, run, holder, for_s))
    count = count + 1
  end
end
if ARGV[6] == 'chosen' then
  for at = 7, #ARGV do
    if count < most then serve(ARGV[at]) end
  end
  return taken
end
while count < most do
  local next = redis.call('ZRANGE', TENANTS, 0, 0)
  if not next[1] then return taken end
  serve(next[1])
end
return taken
"""

# ARGV: tenant, run, holder, seconds, how long a restarted Redis settles.
_CLAIM = """
if settles(ARGV[6]) then return -1 end
local tenant, run = ARGV[2], ARGV[3]
local queue = redis.call('HGET', hash(tenant, run), 'queue')
if queue == 'waiting' then
  redis.call('ZREM', line(tenant), run)
  if redis.call('EXISTS', line(tenant)) == 0 then redis.call('ZREM', TENANTS, tenant) end
elseif queue == 'parked' then
  redis.call('ZREM', PARKED, tenant..'/'..run)
else
  return {}
end
return lease(tenant, run, ARGV[4], tonumber(ARGV[5]))
"""

# ARGV: seconds, whether forgotten ones may be reclaimed, and pairs of member and number.
# Numbers only grow: an older one than the holder's says that Redis has forgotten when it was handed out.
# Answers: 0 lost, 1 kept, 2 not known, 3 kept by a Redis that was emptied or started again since.
_RENEW = """
local for_s, reclaim, told, t = tonumber(ARGV[2]), ARGV[3] == '1', {}, now()
for at = 4, #ARGV, 2 do
  local member, number = ARGV[at], ARGV[at + 1]
  local tenant, run = split(member)
  local key = hash(tenant, run)
  local mine, queue, cancel, finished, before =
    unpack(redis.call('HMGET', key, 'lease', 'queue', 'cancel', 'finished', 'process'))
  local answer = 0
  if mine == number and queue == 'leased' then
    redis.call('ZADD', LEASES, t + for_s, member)
    answer = 1
    if before ~= process() then
      redis.call('HSET', key, 'process', process())
      answer = 3
    end
  elseif (not mine or tonumber(mine) < tonumber(number)) and not finished then
    answer = 2
    if reclaim then
      if queue == 'waiting' then redis.call('ZREM', line(tenant), run) end
      if queue == 'parked' then redis.call('ZREM', PARKED, member) end
      redis.call('HSET', key, 'queue', 'leased', 'lease', number, 'queued', t, 'process', process())
      redis.call('HINCRBY', key, 'takes', 1)
      redis.call('ZADD', LEASES, t + for_s, member)
      answer = 3
    end
  end
  told[#told + 1] = answer
  told[#told + 1] = cancel or ''
end
return told
"""

# ARGV: member, number, where to (done, waiting, parked), for how many seconds it is parked or nothing.
# A run that was asked to stop is not parked: whoever let go of it has not heard that, and the next to lease it will.
_LEAVE = """
local member, number, where = ARGV[2], ARGV[3], ARGV[4]
local tenant, run = split(member)
local key = hash(tenant, run)
local mine, queue, cancel = unpack(redis.call('HMGET', key, 'lease', 'queue', 'cancel'))
if mine ~= number or queue ~= 'leased' then return 0 end
redis.call('ZREM', LEASES, member)
if where == 'done' then
  redis.call('HDEL', key, 'queue')
  return 1
end
redis.call('HSET', key, 'lease', string.format('%.0f', tonumber(number) + 1))
redis.call('HINCRBY', key, 'takes', -1)
if where == 'waiting' or cancel then
  wait(tenant, run, redis.call('HGET', key, 'queued') or now())
else
  redis.call('HSET', key, 'queue', 'parked')
  redis.call('ZADD', PARKED, ARGV[5] == '' and '+inf' or now() + ARGV[5], member)
end
return 1
"""

_WAITING = """
local told = {}
for _, tenant in ipairs(redis.call('ZRANGE', TENANTS, 0, 999)) do
  local first = redis.call('ZRANGE', line(tenant), 0, 0, 'WITHSCORES')
  if first[1] then add(told, {tenant, redis.call('ZCARD', line(tenant)), first[2]}) end
end
return told
"""

# ARGV: tenant.
_PARKED = """
local told = {}
for _, member in ipairs(redis.call('ZRANGE', PARKED, 0, -1)) do
  local tenant, run = split(member)
  if tenant == ARGV[2] then told[#told + 1] = run end
end
return told
"""

_STATS = """
local waiting, oldest = 0, nil
for _, tenant in ipairs(redis.call('ZRANGE', TENANTS, 0, -1)) do
  local first = redis.call('ZRANGE', line(tenant), 0, 0, 'WITHSCORES')
  if first[1] then
    waiting = waiting + redis.call('ZCARD', line(tenant))
    oldest = math.min(oldest or tonumber(first[2]), tonumber(first[2]))
  end
end
local age = oldest and math.max(0, now() - oldest) or 0
return {waiting, redis.call('ZCARD', LEASES), redis.call('ZCARD', PARKED), string.format('%.6f', age)}
"""

ALL = {
    name: _COMMON + text
    for name, text in {
        "offer": _OFFER,
        "knows": _KNOWS,
        "recover": _RECOVER,
        "take": _TAKE,
        "claim": _CLAIM,
        "renew": _RENEW,
        "leave": _LEAVE,
        "waiting": _WAITING,
        "parked": _PARKED,
        "stats": _STATS,
    }.items()
}
