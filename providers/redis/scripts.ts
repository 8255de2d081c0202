import { createHash } from "node:crypto";
import { FORMAT, LINES, NO_NUMBER, NUMBER_WIDTH } from "./record_text.ts";

/** A script that the server runs in one atomic step. */
export interface Script {
  /** In Lua. */
  readonly source: string;
  /** What the server files it under once it has seen it. */
  readonly sha: string;
}

/** How long an index entry may look stale because its session is being written. */
const SETTLING_MS = 3_600_000;

// Positions in Lua count from 1 and include the last one.
const ACCESSED = FORMAT.length + 2;
const EXPIRES = ACCESSED + NUMBER_WIDTH + 1;
const INDEXED = EXPIRES + NUMBER_WIDTH + 1;
const FIRST_LINE = INDEXED + NUMBER_WIDTH;

const READERS = `
local function numberAt(text, from)
  return tonumber(string.sub(text, from, from + ${NUMBER_WIDTH - 1}))
end

local function isReadable(text)
  return string.sub(text, 1, ${FORMAT.length + 1}) == '${FORMAT} '
    and string.sub(text, ${FIRST_LINE}, ${FIRST_LINE}) == '\\n'
    and numberAt(text, ${EXPIRES}) ~= nil
end

-- The lines after the first, up to the data, and where the data begins.
local function linesOf(text)
  local line, from = {}, ${FIRST_LINE + 1}
  for number = 1, ${Object.keys(LINES).length} do
    local to = string.find(text, '\\n', from, true)
    if not to then return nil end
    line[number] = string.sub(text, from, to - 1)
    from = to + 1
  end
  return line, from
end
`;

/**
 * KEYS: session. ARGV: now, name of the write, guard's secret, guard's version
 * or nothing, time to live, accessedAt, expiresAt, principal indexed or nothing,
 * until when, count of lines, line numbers and texts, count of keys set, keys
 * and values, keys deleted.
 */
export const UPDATE: Script = script(`${READERS}
local text = redis.call('GET', KEYS[1])
if not text then return 'gone' end
if not isReadable(text) then return 'corrupt' end
if numberAt(text, ${EXPIRES}) <= tonumber(ARGV[1]) then return 'gone' end
local line, from = linesOf(text)
if not line then return 'corrupt' end
-- A client that lost the connection may send writes again that were done.
local writes = ' ' .. line[${LINES.writeIds}] .. ' '
if string.find(writes, ' ' .. ARGV[2] .. ' ', 1, true) then return 'done' end
if line[${LINES.secretHash}] ~= ARGV[3] then
  local ends = tonumber(line[${LINES.previousExpiresAt}])
  if line[${LINES.previousHash}] ~= ARGV[3] or not ends
    or ends <= tonumber(ARGV[1]) then return 'gone' end
end
if ARGV[4] ~= '' and line[${LINES.version}] ~= ARGV[4] then
  return 'conflict'
end
local version = tonumber(line[${LINES.version}])
if not version then return 'corrupt' end

local before = line[${LINES.principal}]
line[${LINES.version}] = string.format('%.0f', version + 1)
line[${LINES.writeIds}] =
  string.match(ARGV[2] .. writes, '^%S+ ?%S* ?%S* ?%S*')
local at = 11
for _ = 1, tonumber(ARGV[10]) do
  line[tonumber(ARGV[at])] = ARGV[at + 1]
  at = at + 2
end

local principal = line[${LINES.principal}]
local indexed = '${NO_NUMBER}'
if principal ~= '' then
  if principal == before then
    indexed = string.sub(text, ${INDEXED}, ${FIRST_LINE - 1})
  end
  local known = tonumber(indexed)
  if principal == ARGV[8] and (not known or known < tonumber(ARGV[9])) then
    indexed = ARGV[9]
    known = tonumber(indexed)
  end
  if not known or known < tonumber(ARGV[7]) then
    return 'index' .. principal
  end
end

local parts = {
  '${FORMAT} ' .. ARGV[6] .. ' ' .. ARGV[7] .. ' ' .. indexed .. '\\n',
  table.concat(line, '\\n') .. '\\n',
}
local count = tonumber(ARGV[at])
at = at + 1
if at > #ARGV then
  parts[3] = string.sub(text, from)
else
  local replaced, added = {}, {}
  for _ = 1, count do
    replaced[ARGV[at]] = true
    added[#added + 1] = ARGV[at] .. '\\n' .. ARGV[at + 1] .. '\\n'
    at = at + 2
  end
  for index = at, #ARGV do replaced[ARGV[index]] = true end
  while from <= #text do
    local key = string.find(text, '\\n', from, true)
    local value = key and string.find(text, '\\n', key + 1, true)
    if not value then return 'corrupt' end
    if not replaced[string.sub(text, from, key - 1)] then
      parts[#parts + 1] = string.sub(text, from, value)
    end
    from = value + 1
  end
  parts[#parts + 1] = table.concat(added)
end
redis.call('SET', KEYS[1], table.concat(parts), 'PX', ARGV[5])
return 'done'
`);

/**
 * KEYS: session. ARGV: now, time to live, accessedAt, expiresAt, principal
 * indexed or nothing, until when.
 */
export const TOUCH: Script = script(`${READERS}
local first = redis.call('GETRANGE', KEYS[1], 0, ${FIRST_LINE - 1})
if first == '' then return 'gone' end
if not isReadable(first) then return 'corrupt' end
local before = numberAt(first, ${EXPIRES})
if before <= tonumber(ARGV[1]) then return 'gone' end
local expires, timeToLive = ARGV[4], ARGV[2]
-- A deadline never moves back: this request may know an earlier lifetime.
if before > tonumber(expires) then
  expires = string.sub(first, ${EXPIRES}, ${EXPIRES + NUMBER_WIDTH - 1})
  timeToLive = math.ceil(before - tonumber(ARGV[1]))
end
local indexed = string.sub(first, ${INDEXED}, ${FIRST_LINE - 1})
local known = tonumber(indexed)
if known and known < tonumber(expires) then
  local line = linesOf(redis.call('GET', KEYS[1]))
  if not line then return 'corrupt' end
  local principal = line[${LINES.principal}]
  if principal ~= ARGV[5] then return 'index' .. principal end
  indexed = ARGV[6]
end
redis.call('SETRANGE', KEYS[1], ${ACCESSED - 1},
  ARGV[3] .. ' ' .. expires .. ' ' .. indexed)
redis.call('PEXPIRE', KEYS[1], timeToLive)
return 'done'
`);

/**
 * KEYS: session. ARGV: the principal whose it must be, or nothing. Answers the
 * principal whose it was, empty if nobody's, or nil if nothing was removed.
 */
export const DESTROY: Script = script(`${READERS}
local text = redis.call('GET', KEYS[1])
if not text then return false end
local line = isReadable(text) and linesOf(text)
local principal = line and line[${LINES.principal}] or ''
if ARGV[1] ~= '' and principal ~= ARGV[1] then return false end
redis.call('DEL', KEYS[1])
return principal
`);

const CLOCK = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * KEYS: index. ARGV: id, for how long. Notes that a session is about to be the
 * principal's, and forgets those whose time is up. An entry holds when it was
 * made and when it ends, by the server's clock.
 */
export const INDEX: Script = script(`${CLOCK}
local ends = now + tonumber(ARGV[2])
local last = ends
local entries = redis.call('HGETALL', KEYS[1])
for at = 1, #entries, 2 do
  local other = tonumber(string.match(entries[at + 1], '%d+$')) or 0
  if other <= now then
    redis.call('HDEL', KEYS[1], entries[at])
  else
    if entries[at] == ARGV[1] and other > ends then ends = other end
    if other > last then last = other end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f', now, ends))
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last))
return 'done'
`);

/**
 * KEYS: index. ARGV: ids of sessions that are not the principal's. Removes their
 * entries, but not one that was made so recently that its session may be on
 * the way.
 */
export const REPAIR: Script = script(`${CLOCK}
for at = 1, #ARGV do
  local entry = redis.call('HGET', KEYS[1], ARGV[at])
  local made = entry and tonumber(string.match(entry, '^%d+')) or now
  if made + ${SETTLING_MS} <= now then
    redis.call('HDEL', KEYS[1], ARGV[at])
  end
end
return 'done'
`);

function script(source: string): Script {
  // The server names scripts by their SHA-1; nothing secret depends on it.
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}
