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

-- Four amounts among the fields that were read, from the first of them on.
local function amounts(found, at, default)
  local four = {}
  for i = 1, 4 do four[i] = tonumber(found[at + i - 1] or default) end
  return four
end

local function four(key, prefix, default)
  return amounts(call('HMGET', key, prefix .. '1', prefix .. '2', prefix .. '3', prefix .. '4'), 1, default)
end

local function with(four, more, sign)
  local sum = {}
  for i = 1, 4 do sum[i] = four[i] + sign * more[i] end
  return sum
end

-- Each call costs more than what it does: what is written to one key goes in one.
local function set_four(key, prefix, four, ...)
  call('HSET', key, prefix .. '1', four[1], prefix .. '2', four[2], prefix .. '3', four[3], prefix .. '4', four[4], ...)
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
  local f = call('HMGET', name('ticket', id), 'tenant', 'pool', 'holder', 'asked', 'granted', 'rate', 'charged', 'prio',
                 'n1', 'n2', 'n3', 'n4')
  if not f[1] then return nil end
  return {id = id, tenant = f[1], pool = f[2], holder = f[3], asked = tonumber(f[4]), granted = tonumber(f[5] or nil),
          rate = tonumber(f[6] or 0), charged = tonumber(f[7] or 0), prio = tonumber(f[8] or 0),
          need = amounts(f, 9, 0)}
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

-- A line's finish has changed: if its tenant waits, so does its place.
local function follow(t)
  if call('ZSCORE', name('ready', t.pool), t.tenant) then queue(t.pool, t.tenant) end
end

local function charge(t, for_s)
  local line = in_line(t)
  local finish = number(line, 'finish', 0) + t.rate * (for_s - t.charged) / weight_of(t.tenant)
  call('HSET', line, 'finish', exact(finish))
  call('HSET', name('ticket', t.id), 'charged', exact(for_s))
  t.charged = for_s
  follow(t)
end

local function line_of(t)
  local f = call('HMGET', in_line(t), 'h1', 'h2', 'h3', 'h4', 'finish', 'guess')
  return amounts(f, 1, 0), tonumber(f[5] or 0), tonumber(f[6] or 1)
end

-- Where nothing is held, what is known of a tenant's turns in a pool is kept for a day; where something is, it has to stay.
local function let_expire(t, held)
  if fits(held, {0, 0, 0, 0}, {0, 0, 0, 0}) then call('EXPIRE', in_line(t), DAY_S) end
end

-- It is charged what it will probably take. Whoever had its turn tells thereby how far the pool's turns are.
local function hold(t, in_turn)
  local here, theirs = name('pool', t.pool), name('held', t.tenant)
  local in_pool, finish, guess = line_of(t)
  local weight = weight_of(t.tenant)
  t.granted, t.charged, t.rate = now, guess, dominant(t.need, capacity_of(t.pool))
  local virtual = number(here, 'v', 0)
  if in_turn then virtual = math.max(virtual, finish) end
  set_four(here, 'u', with(four(here, 'u', 0), t.need, 1), 'v', exact(virtual))
  in_pool = with(in_pool, t.need, 1)
  set_four(in_line(t), 'h', in_pool, 'finish', exact(finish + t.rate * guess / weight))
  set_four(theirs, 'h', with(four(theirs, 'h', 0), t.need, 1))
  t.load = in_pool[1] / weight
  call('HSET', name('ticket', t.id), 'granted', exact(now), 'rate', exact(t.rate), 'charged', exact(guess),
       'load', exact(t.load))
  call('SADD', name('granted', t.holder), t.id)
  call('PERSIST', in_line(t))
  follow(t)
end

-- It is over: what it took in truth is charged, and its tenant's steps are known better.
local function release(t)
  local took = now - t.granted
  local in_pool, finish, guess = line_of(t)
  local here, theirs = name('pool', t.pool), name('held', t.tenant)
  guess = math.min(math.max(guess * 0.8 + took * (1.0 - 0.8), 0.01), 60)
  in_pool = with(in_pool, t.need, -1)
  set_four(in_line(t), 'h', in_pool, 'guess', exact(guess),
           'finish', exact(finish + t.rate * (took - t.charged) / weight_of(t.tenant)))
  set_four(here, 'u', with(four(here, 'u', 0), t.need, -1))
  set_four(theirs, 'h', with(four(theirs, 'h', 0), t.need, -1))
  call('SREM', name('granted', t.holder), t.id)
  let_expire(t, in_pool)
  follow(t)
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

local function is_within_quota(t)
  return fits(t.need, four(name('held', t.tenant), 'h', 0), four(name('terms', t.tenant), 'l', ENDLESS))
end

local function has_room(t)
  return fits(t.need, four(name('pool', t.pool), 'u', 0), counted(open_to(t.pool, t.tenant)))
end

-- One decision: the ticket that is granted, or nil.
local function decide(pool)
  local ready = name('ready', pool)
  local passed, given = {}, nil
  while not given and #passed < LOOKED_AT do
    local first = call('ZPOPMIN', ready)
    if not first[1] then break end
    local tenant, at = first[1], first[2]
    local head = call('ZRANGE', name('wait', pool, tenant), 0, 0)[1]
    if head then
      local t = ticket_of(head)
      if not is_within_quota(t) then
        call('SADD', name('stalled', tenant), pool)
      elseif has_room(t) then
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
    hold(given, true)
    queue(pool, given.tenant)
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
    if t.id == asking then
      answer = exact(t.load)
    else
      call('RPUSH', name('grants', t.holder), t.id .. ' ' .. exact(t.load))
      call('EXPIRE', name('grants', t.holder), DAY_S)
    end
  end
end

-- It waits no more.
local function withdraw(t)
  call('ZREM', name('wait', t.pool, t.tenant), t.id)
  call('HINCRBY', name('held', t.tenant), 'waiting', -1)
  call('ZREM', name('ready', t.pool), t.tenant)
  call('SREM', name('stalled', t.tenant), t.pool)
  let_expire(t, (line_of(t)))
  queue(t.pool, t.tenant)
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
    release(t)
    pools = revive(t.tenant)
  else
    withdraw(t)
  end
  call('DEL', name('ticket', id))
  local seen = {[t.pool] = true}
  for _, pool in ipairs(pools) do seen[pool] = true end
  pools = {}
  for pool in pairs(seen) do pools[#pools + 1] = pool end
  table.sort(pools)
  for _, pool in ipairs(pools) do serve(pool) end
end

-- Of two terms the higher version is in force; of one version, what was told last: defaults change without a version.
local function replaces(terms, known)
  local version = tonumber(known[1] or -1)
  if terms.version ~= version then return terms.version > version end
  for i, amount in ipairs({terms.weight, terms.runs, unpack(terms.most)}) do
    if tonumber(known[i + 1]) ~= amount then return true end
  end
  return false
end

-- What waits and is more than its tenant may have at all by now: whoever asked asks again when renewing, and is told.
local function forget_too_large(tenant, most)
  for _, pool in ipairs(call('SMEMBERS', name('pools'))) do
    for _, id in ipairs(call('ZRANGE', name('wait', pool, tenant), 0, -1)) do
      local t = ticket_of(id)
      if not fits(t.need, {0, 0, 0, 0}, most) then
        withdraw(t)
        call('SREM', name('of', t.holder), id)
        call('DEL', name('ticket', id))
      end
    end
  end
end

local function agree(tenant, terms)
  local key = name('terms', tenant)
  if not replaces(terms, call('HMGET', key, 'version', 'weight', 'runs', 'l1', 'l2', 'l3', 'l4')) then return end
  call('HSET', key, 'version', terms.version, 'weight', exact(terms.weight), 'runs', terms.runs)
  for i = 1, 4 do call('HSET', key, 'l' .. i, exact(terms.most[i])) end
  forget_too_large(tenant, terms.most)
  revive(tenant)
end

local function write(t)
  call('SADD', name('of', holder), t.id)
  set_four(name('ticket', t.id), 'n', t.need or {0, 0, 0, 0}, 'tenant', t.tenant, 'pool', t.pool, 'holder', holder,
           'asked', exact(now), 'prio', t.priority or 0)
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
  local is_first = call('EXISTS', waiting) == 0
  if is_first then catch_up(t.pool, t.tenant) end
  write(t)
  local is_alone = is_first and call('EXISTS', name('ready', t.pool)) == 0
  if is_alone and not is_quiet() and is_within_quota(t) and has_room(t) then
    t.holder = holder
    hold(t, true)
    return exact(t.load)
  end
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
  for i = 1, #said.tenants do found[i] = 0 end
  for _, pool in ipairs(said.pools) do
    local virtual = number(name('pool', pool), 'v', 0)
    for i, tenant in ipairs(said.tenants) do
      found[i] = found[i] + math.max(number(name('line', pool, tenant), 'finish', 0), virtual)
    end
  end
  for i, finish in ipairs(found) do found[i] = exact(finish) end
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
