-- The quota ledger: every question is one call of this script, so that no two answers can contradict each other.
-- It tells the story of flowray/quotas/fair.py and memory_ledger.py; tests/contract/test_ledger.py holds them to each other.
-- KEYS[1]: the prefix of all names, with a hash tag: all of them live in one slot of a cluster.
-- ARGV: the time (empty: Redis's own), who asks, the rules as JSON; then each question, and what it is about as JSON.
-- Questions that came at the same moment are answered one after the other, in a list.

local base, holder = KEYS[1], ARGV[2]
local rules = cjson.decode(ARGV[3])
local said
local call = redis.call
local ENDLESS = 9007199254740991
local LOOKED_AT = 32
local FEW, EXTRA = 16, 4
local PRIORITY_WORTH_S = 30
local DAY_S = 86400

local now = tonumber(ARGV[1])
if not now then
  local t = call('TIME')
  now = tonumber(t[1]) + tonumber(t[2]) / 1000000
end

local function name(...) return base .. table.concat({...}, ':') end
local function exact(x) return string.format('%.17g', x) end
local function number(key, field, default) return tonumber(call('HGET', key, field) or default) end

local function four(key, prefix, default)
  local found = call('HMGET', key, prefix .. '1', prefix .. '2', prefix .. '3', prefix .. '4')
  for i = 1, 4 do found[i] = tonumber(found[i] or default) end
  return found
end

local function add(key, prefix, amounts, sign)
  for i = 1, 4 do
    if amounts[i] ~= 0 then call('HINCRBY', key, prefix .. i, sign * amounts[i]) end
  end
end

local function fits(need, taken, limit)
  for i = 1, 4 do
    if need[i] + taken[i] > limit[i] then return false end
  end
  return true
end

local function dominant(need, capacity)
  local largest = 0
  for i = 1, 4 do
    if capacity[i] > 0 and capacity[i] < ENDLESS then largest = math.max(largest, need[i] / capacity[i]) end
  end
  return largest
end

local function capacity_of(pool) return four(name('pool', pool), 'c', 0) end

-- A pool's steps for a tenant that has few there: some more, so that it need not wait for another's to end.
local function open_to(pool, tenant)
  local capacity = capacity_of(pool)
  local held = number(name('line', pool, tenant), 'h1', 0)
  if held * FEW < capacity[1] then capacity[1] = capacity[1] + math.floor(capacity[1] / EXTRA) end
  return capacity
end

-- A pool without steps has no room; what else it does not say, it has enough of.
local function counted(capacity)
  local said = {capacity[1]}
  for i = 2, 4 do said[i] = capacity[i] == 0 and ENDLESS or capacity[i] end
  return said
end

local function ticket_of(id)
  local f = call('HMGET', name('ticket', id), 'tenant', 'pool', 'holder', 'asked', 'granted', 'rate', 'charged', 'prio')
  if not f[1] then return nil end
  return {id = id, tenant = f[1], pool = f[2], holder = f[3], asked = tonumber(f[4]), granted = tonumber(f[5] or nil),
          rate = tonumber(f[6] or 0), charged = tonumber(f[7] or 0), prio = tonumber(f[8] or 0),
          need = four(name('ticket', id), 'n', 0)}
end

local function in_line(t) return name('line', t.pool, t.tenant) end
local function weight_of(tenant) return number(name('terms', tenant), 'weight', 1) end

-- Let a tenant wait for its turn in a pool, unless its quota has stopped it there.
local function queue(pool, tenant)
  local head = call('ZRANGE', name('wait', pool, tenant), 0, 0, 'WITHSCORES')
  if not head[1] or call('SISMEMBER', name('stalled', tenant), pool) == 1 then return end
  local at = tonumber(head[2])
  if rules.fair then at = number(name('line', pool, tenant), 'finish', 0) end
  call('ZADD', name('ready', pool), exact(at), tenant)
end

local function catch_up(pool, tenant)
  local line = name('line', pool, tenant)
  local finish = math.max(number(line, 'finish', 0), number(name('pool', pool), 'v', 0))
  call('HSET', line, 'finish', exact(finish))
end

local function charge(t, for_s)
  local line = in_line(t)
  local finish = number(line, 'finish', 0) + t.rate * (for_s - t.charged) / weight_of(t.tenant)
  call('HSET', line, 'finish', exact(finish))
  call('HSET', name('ticket', t.id), 'charged', exact(for_s))
  t.charged = for_s
  if call('ZSCORE', name('ready', t.pool), t.tenant) then queue(t.pool, t.tenant) end
end

local function hold(t)
  t.granted, t.charged, t.rate = now, 0, dominant(t.need, capacity_of(t.pool))
  call('HSET', name('ticket', t.id), 'granted', exact(now), 'rate', exact(t.rate), 'charged', '0')
  call('SADD', name('granted', t.holder), t.id)
  charge(t, number(in_line(t), 'guess', 1))
  add(in_line(t), 'h', t.need, 1)
  add(name('pool', t.pool), 'u', t.need, 1)
  add(name('held', t.tenant), 'h', t.need, 1)
  call('EXPIRE', in_line(t), DAY_S)
end

local function revive(tenant)
  local stalled = call('SMEMBERS', name('stalled', tenant))
  table.sort(stalled)
  call('DEL', name('stalled', tenant))
  for _, pool in ipairs(stalled) do
    catch_up(pool, tenant)
    queue(pool, tenant)
  end
  return stalled
end

-- One decision: the ticket that is granted, or nil.
local function decide(pool)
  local ready, here = name('ready', pool), name('pool', pool)
  local passed, given = {}, nil
  while not given and #passed < LOOKED_AT do
    local first = call('ZPOPMIN', ready)
    if not first[1] then break end
    local tenant, at = first[1], first[2]
    local head = call('ZRANGE', name('wait', pool, tenant), 0, 0)[1]
    if head then
      local t = ticket_of(head)
      if not fits(t.need, four(name('held', tenant), 'h', 0), four(name('terms', tenant), 'l', ENDLESS)) then
        call('SADD', name('stalled', tenant), pool)
      elseif fits(t.need, four(here, 'u', 0), counted(open_to(pool, tenant))) then
        given = t
      else
        passed[#passed + 1] = {at, tenant}
        if now - t.asked >= rules.patience_s and fits(t.need, {0, 0, 0, 0}, counted(capacity_of(pool))) then break end
      end
    end
  end
  if given then
    call('ZREM', name('wait', pool, given.tenant), given.id)
    call('HINCRBY', name('held', given.tenant), 'waiting', -1)
    call('HSET', here, 'v', exact(math.max(number(here, 'v', 0), number(in_line(given), 'finish', 0))))
    hold(given)
    queue(pool, given.tenant)
    given.load = four(in_line(given), 'h', 0)[1] / weight_of(given.tenant)
  end
  for _, one in ipairs(passed) do call('ZADD', ready, one[1], one[2]) end
  return given
end

local function is_quiet() return now < number(name('meta'), 'quiet_until', 0) end

-- Grant all that can be granted; whoever asks right now is answered, the others find it in their list.
local function serve(pool, asking)
  local answer = nil
  if is_quiet() then return nil end
  while true do
    local t = decide(pool)
    if not t then return answer end
    call('HSET', name('ticket', t.id), 'load', exact(t.load))
    if t.id == asking then
      answer = exact(t.load)
    else
      call('RPUSH', name('grants', t.holder), t.id .. ' ' .. exact(t.load))
      call('EXPIRE', name('grants', t.holder), DAY_S)
    end
  end
end

local function finish(id)
  local t = ticket_of(id)
  if not t then return end
  call('SREM', name('of', t.holder), id)
  if t.pool == '' then
    call('HINCRBY', name('held', t.tenant), 'runs', -1)
    call('DEL', name('ticket', id))
    return
  end
  local pools = {}
  if t.granted then
    call('SREM', name('granted', t.holder), id)
    charge(t, now - t.granted)
    local guess = number(in_line(t), 'guess', 1) * 0.8 + (now - t.granted) * (1.0 - 0.8)
    call('HSET', in_line(t), 'guess', exact(math.min(math.max(guess, 0.01), 60)))
    add(in_line(t), 'h', t.need, -1)
    add(name('pool', t.pool), 'u', t.need, -1)
    add(name('held', t.tenant), 'h', t.need, -1)
    pools = revive(t.tenant)
  else
    call('ZREM', name('wait', t.pool, t.tenant), id)
    call('HINCRBY', name('held', t.tenant), 'waiting', -1)
    call('ZREM', name('ready', t.pool), t.tenant)
    call('SREM', name('stalled', t.tenant), t.pool)
    queue(t.pool, t.tenant)
  end
  call('DEL', name('ticket', id))
  local seen = {[t.pool] = true}
  for _, pool in ipairs(pools) do seen[pool] = true end
  pools = {}
  for pool in pairs(seen) do pools[#pools + 1] = pool end
  table.sort(pools)
  for _, pool in ipairs(pools) do serve(pool) end
end

-- Of two terms the higher version is in force.
local function agree(tenant, terms)
  local key = name('terms', tenant)
  if terms.version <= number(key, 'version', -1) then return end
  call('HSET', key, 'version', terms.version, 'weight', exact(terms.weight), 'runs', terms.runs)
  for i = 1, 4 do call('HSET', key, 'l' .. i, exact(terms.most[i])) end
  revive(tenant)
end

local function write(t, to)
  call('SADD', name('of', holder), t.id)
  call('HSET', name('ticket', t.id), 'tenant', t.tenant, 'pool', t.pool, 'holder', holder, 'asked', exact(now),
       'prio', t.priority or 0)
  if t.need then add(name('ticket', t.id), 'n', t.need, 1) end
end

-- Whoever asks lives; whoever has not for too long does not. After a silence nobody is blamed for having been silent.
local function enter()
  local meta, holders = name('meta'), name('holders')
  local last = tonumber(call('HGET', meta, 'last') or nil)
  if not last or now - last > rules.silence_s then
    call('HSET', meta, 'quiet_until', exact(now + rules.quiet_s))
    for _, one in ipairs(call('ZRANGE', holders, 0, -1)) do call('ZADD', holders, exact(now), one) end
  end
  call('HSET', meta, 'last', exact(now))
  call('ZADD', holders, exact(now), holder)
  for _, gone in ipairs(call('ZRANGEBYSCORE', holders, '-inf', '(' .. exact(now - rules.lease_s))) do
    call('ZREM', holders, gone)
    for _, id in ipairs(call('SMEMBERS', name('of', gone))) do finish(id) end
    call('DEL', name('of', gone), name('granted', gone), name('grants', gone))
  end
end

local function serve_all()
  local pools = call('SMEMBERS', name('pools'))
  table.sort(pools)
  for _, pool in ipairs(pools) do serve(pool) end
end

local does = {}

function does.open_run()
  if is_quiet() then return 'waking' end
  agree(said.tenant, said.terms)
  local held = name('held', said.tenant)
  if call('EXISTS', name('ticket', said.run)) == 1 then return 'open' end
  if number(held, 'runs', 0) >= number(name('terms', said.tenant), 'runs', ENDLESS) then return 'full' end
  call('HINCRBY', held, 'runs', 1)
  write({id = said.run, tenant = said.tenant, pool = ''})
  return 'open'
end

function does.ask()
  local t = said.ticket
  agree(t.tenant, said.terms)
  if not fits(t.need, {0, 0, 0, 0}, four(name('terms', t.tenant), 'l', ENDLESS)) then return 'never' end
  if call('EXISTS', name('ticket', t.id)) == 1 then finish(t.id) end
  local waiting = name('wait', t.pool, t.tenant)
  call('SADD', name('pools'), t.pool)
  if call('EXISTS', waiting) == 0 then catch_up(t.pool, t.tenant) end
  write(t)
  call('HINCRBY', name('held', t.tenant), 'waiting', 1)
  call('ZADD', waiting, exact(now - t.priority * PRIORITY_WORTH_S), t.id)
  if call('ZRANGE', waiting, 0, 0)[1] == t.id then call('SREM', name('stalled', t.tenant), t.pool) end
  queue(t.pool, t.tenant)
  return serve(t.pool, t.id) or ''
end

function does.end_()
  for _, id in ipairs(said.names) do
    if call('SISMEMBER', name('of', holder), id) == 1 then finish(id) end
  end
end

-- The grants of its tickets, told again. `unnamed` is what it has here and did not name: ended, unless it is new.
function does.renew()
  for _, id in ipairs(said.unnamed) do
    if now - number(name('ticket', id), 'asked', 0) > rules.slack_s then finish(id) end
  end
  local mine, granted = name('granted', holder), {}
  for _, id in ipairs(call('SMEMBERS', mine)) do
    local t = ticket_of(id)
    if not (t and t.granted) then
      call('SREM', mine, id)
    elseif now - t.granted > t.charged then
      charge(t, now - t.granted)
    end
  end
  serve_all()
  for i, id in ipairs(call('SMEMBERS', mine)) do
    granted[i] = id .. ' ' .. (call('HGET', name('ticket', id), 'load') or '1')
  end
  return granted
end

function does.restore()
  for _, t in ipairs(said.tickets) do
    local known = ticket_of(t.id)
    if not (known and known.granted) then
      if known then finish(t.id) end
      call('SADD', name('pools'), t.pool)
      write(t)
      hold(ticket_of(t.id))
    end
  end
  for _, run in ipairs(said.runs) do
    if call('EXISTS', name('ticket', run.id)) == 0 then
      call('HINCRBY', name('held', run.tenant), 'runs', 1)
      write({id = run.id, tenant = run.tenant, pool = ''})
    end
  end
end

function does.set_terms()
  agree(said.tenant, said.terms)
  serve_all()
end

function does.set_pools()
  for pool, capacity in pairs(said.pools) do
    call('SADD', name('pools'), pool)
    for i = 1, 4 do call('HSET', name('pool', pool), 'c' .. i, capacity[i]) end
  end
  serve_all()
end

function does.standing()
  local held = name('held', said.tenant)
  local found = four(held, 'h', 0)
  return {number(held, 'runs', 0), number(held, 'waiting', 0), found[1], found[2], found[3], found[4]}
end

function does.turns()
  local found = {}
  local virtual = number(name('pool', said.pool), 'v', 0)
  for i, tenant in ipairs(said.tenants) do
    found[i] = exact(math.max(number(name('line', said.pool, tenant), 'finish', 0), virtual))
  end
  return found
end

function does.inaugurate()
  if call('HSETNX', name('meta'), 'last', exact(now)) == 1 then call('HSET', name('meta'), 'quiet_until', '0') end
end

local reads = {standing = true, turns = true, inaugurate = true}
local answers, entered = {}, false
for at = 4, #ARGV, 2 do
  local op = ARGV[at]
  said = cjson.decode(ARGV[at + 1])
  if not reads[op] and not entered then
    enter()
    entered = true
  end
  answers[#answers + 1] = does[op]() or false
end
return answers
