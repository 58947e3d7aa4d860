local SOCKET_PATH = "/run/mailauth/auth.sock" -- where mailauth listens
local DEADLINE_S = 10 -- for one login, everything included; mailauth's own is shorter

-- Dovecot 2.3 and 2.4: the Lua passdb that asks mailauth.
--
-- For:    mailauth-lua.conf of this version's folder; needs dovecot-auth-lua and lua-socket.
-- Copy:   to /usr/lib/mailauth/mailauth.lua, root:root 0644.
-- Runs in Dovecot's auth workers, as root by default; each keeps one connection.
--
-- It decides nothing. It hands on the request in Dovecot's own authentication protocol
-- (version 1.1) and maps the reply:
--   OK                    let in, under the name that mailauth returned
--   FAIL with a reason    "not authenticated here" + the text; the next, last passdb of
--                         mailauth-lua.conf knows nobody and so turns that into a refusal
--   FAIL                  wrong password
--   FAIL code=temp_fail,  temporary failure: the client may try again. So is every doubt:
--   anything else         no daemon, no answer in time, an answer that makes no sense
-- An attempt is sent a second time only if it could not be sent the first time: one that
-- was sent may have spent its code already.

local socket = require("socket")
local unix = require("socket.unix")
local new_stream = type(unix) == "table" and unix.stream or unix

local MAX_REPLY_BYTES = 16384 -- mailauth's own cap on a line

local ESCAPES = { ["\0"] = "\0010", ["\1"] = "\0011", ["\t"] = "\001t", ["\r"] = "\001r", ["\n"] = "\001n" }
local UNESCAPES = { ["0"] = "\0", ["1"] = "\1", t = "\t", r = "\r", n = "\n" }
local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local connection = nil
local last_id = 0

local function escape(value)
  return (value:gsub("[%z\1\t\r\n]", ESCAPES))
end

local function unescape(value)
  return (value:gsub("\1(.)", UNESCAPES))
end

local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 1, 4 do
      local index = math.floor(n / 64 ^ (4 - place)) % 64
      local kept = place <= 2 or (place == 3 and b) or (place == 4 and c)
      out[#out + 1] = kept and BASE64:sub(index + 1, index + 1) or "="
    end
  end
  return table.concat(out)
end

local function disconnect()
  if connection then
    connection:close()
    connection = nil
  end
end

-- A name that this Dovecot does not know as a field of the request is no error. Ports are
-- 0 where Dovecot was asked by Postfix.
local function field(request, ...)
  for _, name in ipairs({ ... }) do
    local known, value = pcall(function()
      return request[name]
    end)
    if known and value ~= nil and value ~= "" and tostring(value) ~= "0" then
      return tostring(value)
    end
  end
  return nil
end

local function request_line(request, password, id)
  local secured = field(request, "secured")
  local parts = { "AUTH", id, "PLAIN" }
  local fields = {
    { "service", field(request, "protocol", "service") },
    { "lip", field(request, "local_ip", "lip") },
    { "rip", field(request, "remote_ip", "rip") },
    { "lport", field(request, "local_port", "lport") },
    { "rport", field(request, "remote_port", "rport") },
    -- 2.3 says "TLS" or "secured"; 2.4 a boolean for both
    { "secured", secured and secured ~= "false" and (secured == "true" and "secured" or secured:lower()) or nil },
    { "session", field(request, "session") },
    { "local_name", field(request, "local_name") },
    { "mailauth", "1" },
  }
  for _, pair in ipairs(fields) do
    if pair[2] then
      parts[#parts + 1] = pair[1] .. "=" .. escape(pair[2])
    end
  end
  parts[#parts + 1] = "resp=" .. base64("\0" .. request.user .. "\0" .. password)
  return table.concat(parts, "\t") .. "\n"
end

local function connect(deadline)
  local fresh, problem = new_stream()
  if not fresh then
    return problem
  end
  fresh:settimeout(math.max(0, deadline - socket.gettime()))
  local connected
  connected, problem = fresh:connect(SOCKET_PATH)
  if not connected then
    fresh:close()
    return problem
  end
  connection = fresh
  return nil
end

-- A kept connection has nothing to say between logins: words or an end mean a new one.
local function is_stale()
  connection:settimeout(0)
  local line, problem, rest = connection:receive("*l")
  return line ~= nil or problem ~= "timeout" or (rest ~= nil and rest ~= "")
end

-- Send the attempt on the kept connection, or once more on a new one if that failed.
-- Returns nil, or what went wrong; and whether the greeting is still to be read.
local function send(line, deadline)
  if connection and is_stale() then
    disconnect()
  end
  if connection then
    connection:settimeout(math.max(0, deadline - socket.gettime()))
    local sent, problem = connection:send(line)
    if sent then
      return nil, false
    end
    disconnect()
    if problem == "timeout" then
      return "it takes nothing", false
    end
  end
  local problem = connect(deadline)
  if problem then
    return problem, false
  end
  -- mailauth takes a client's lines before the client has read the greeting.
  local hello = "VERSION\t1\t1\nCPID\t" .. math.random(1, 2 ^ 31 - 1) .. "\n"
  local sent
  sent, problem = connection:send(hello .. line)
  return not sent and problem or nil, true
end

local function receive_line(deadline)
  connection:settimeout(math.max(0, deadline - socket.gettime()))
  local line, problem = connection:receive("*l")
  if not line then
    return nil, problem
  elseif #line > MAX_REPLY_BYTES then
    return nil, "a line too long"
  end
  return line
end

local function skip_greeting(deadline)
  local line, problem
  repeat
    line, problem = receive_line(deadline)
    if not line then
      return problem
    end
    local major = line:match("^VERSION\t(%d+)")
    if major and major ~= "1" then
      return "it speaks version " .. major
    end
  until line == "DONE"
  return nil
end

-- Returns the reply's fields as a table, `verdict` first among them; or nil and a problem.
local function parse(line, id)
  local fields = {}
  local position = 0
  for word in (line .. "\t"):gmatch("([^\t]*)\t") do
    position = position + 1
    if position == 1 then
      fields.verdict = word
    elseif position == 2 then
      if word ~= id then
        return nil, "it answered another login"
      end
    else
      local name, value = word:match("^([^=]+)=(.*)$")
      if name and name ~= "verdict" then
        fields[name] = unescape(value)
      end
    end
  end
  if position < 2 or (fields.verdict ~= "OK" and fields.verdict ~= "FAIL") then
    return nil, "its answer makes no sense"
  end
  return fields
end

local function ask(request, password)
  local deadline = socket.gettime() + DEADLINE_S
  last_id = last_id % (2 ^ 31 - 1) + 1
  local id = string.format("%d", last_id)
  local problem, greeting = send(request_line(request, password, id), deadline)
  if not problem and greeting then
    problem = skip_greeting(deadline)
  end
  local line, fields
  if not problem then
    line, problem = receive_line(deadline)
  end
  if line then
    fields, problem = parse(line, id)
  end
  if not fields then
    disconnect()
  end
  return fields, problem
end

function auth_password_verify(request, password)
  local fields, problem = ask(request, password)
  if not fields then
    return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "mailauth at " .. SOCKET_PATH .. ": " .. problem
  elseif fields.verdict == "OK" then
    if not fields.user then
      disconnect()
      return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "mailauth let in nobody by name"
    end
    return dovecot.auth.PASSDB_RESULT_OK, { user = fields.user }
  elseif fields.code == "temp_fail" then
    return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "mailauth: temporary failure"
  elseif fields.reason then
    -- Not `nologin`: Postfix on Dovecot's auth socket would let such a user in.
    return dovecot.auth.PASSDB_RESULT_OK, { noauthenticate = "y", reason = fields.reason }
  end
  return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "mailauth: denied"
end

-- Without a password there is nothing that mailauth could say (Dovecot's proxies and
-- `doveadm auth lookup` ask so).
function auth_passdb_lookup(_)
  return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, "mailauth: no look-up without a password"
end

function script_init()
  return 0
end

function script_deinit()
  disconnect()
end
