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

-- Only the C parts of lua-socket: Dovecot has Lua look through all that it holds, for
-- garbage, after each login.
local gettime = require("socket.core").gettime
local unix = require("socket.unix")
local base64 = require("mime.core").b64
local new_stream = type(unix) == "table" and unix.stream or unix

local MAX_REPLY_BYTES = 16384 -- mailauth's own cap on a line

-- What is asked of Dovecot, all at once: for each question it first collects everything that
-- it knows of a request. By the name of the field that only that version has.
local TEMPLATES = {
  service = "service=%{service}\tlip=%{lip}\trip=%{rip}\tlport=%{lport}\trport=%{rport}" -- 2.3
    .. "\tsecured=%L{secured}\tsession=%{session}\tlocal_name=%{local_name}\tuser=%{user}",
  protocol = "service=%{protocol}\tlip=%{local_ip}\trip=%{remote_ip}\tlport=%{local_port}\trport=%{remote_port}" -- 2.4
    .. "\tsecured=%{secured | lower}\tsession=%{session}\tlocal_name=%{local_name}\tuser=%{user}",
}
local NAME_AND_FIELD = "([%w_]+)=%%L?{([%w_]+)" -- of each of them
local WITHOUT_CONTROLS = "^(" .. ("[^%c]*"):rep(8, "\t") .. ")\tuser=([^%c]*)$"

local ESCAPES = { ["\0"] = "\0010", ["\1"] = "\0011", ["\t"] = "\001t", ["\r"] = "\001r", ["\n"] = "\001n" }
local UNESCAPES = { ["0"] = "\0", ["1"] = "\1", t = "\t", r = "\r", n = "\n" }

local template, var_expand = nil, nil -- the first login shows which
local connection = nil
local last_id = 0

local function escape(value)
  return (value:gsub("[\0\1\t\r\n]", ESCAPES))
end

local function unescape(value)
  return (value:gsub("\1(.)", UNESCAPES))
end

local function disconnect()
  if connection then
    connection:close()
    connection = nil
  end
end

-- Returns the parameters of the AUTH line but the last, and the user's name.
local function describe(request)
  if not template then
    template = request.protocol and TEMPLATES.protocol or TEMPLATES.service
    var_expand = request.var_expand
  end
  local parameters, user = var_expand(request, template):match(WITHOUT_CONTROLS)
  if parameters then
    return parameters, user
  end
  -- Somebody sent control characters (in the name of the host, say): one field at a time.
  parameters = {}
  for name, field in template:gmatch(NAME_AND_FIELD) do
    parameters[#parameters + 1] = name .. "=" .. escape(request[field] or "")
  end
  parameters[#parameters] = nil -- the user, who goes into the response
  return table.concat(parameters, "\t"), request.user
end

local function connect(deadline)
  local fresh, problem = new_stream()
  if not fresh then
    return problem
  end
  fresh:settimeout(math.max(0, deadline - gettime()))
  local connected
  connected, problem = fresh:connect(SOCKET_PATH)
  if not connected then
    fresh:close()
    return problem
  end
  connection = fresh
  return nil
end

-- Send the attempt on the kept connection, or once more on a new one if that failed: a Unix
-- socket takes nothing once its other end is closed, so there is no need to look first.
-- Returns nil, or what went wrong; and whether the greeting is still to be read.
local function send(line, deadline)
  if connection then
    connection:settimeout(math.max(0, deadline - gettime()))
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
  connection:settimeout(math.max(0, deadline - gettime()))
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
local function parse(line, id, user)
  if line == "OK\t" .. id .. "\tuser=" .. user then -- nearly all, and quicker than below
    return { verdict = "OK", user = user }
  end
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

local function ask(parameters, user, password)
  local deadline = gettime() + DEADLINE_S
  last_id = last_id % (2 ^ 31 - 1) + 1
  local id = string.format("%d", last_id)
  local response = base64("\0" .. user .. "\0" .. password)
  local line = "AUTH\t" .. id .. "\tPLAIN\t" .. parameters .. "\tmailauth=1\tresp=" .. response .. "\n"
  local problem, greeting = send(line, deadline)
  if not problem and greeting then
    problem = skip_greeting(deadline)
  end
  local reply, fields
  if not problem then
    reply, problem = receive_line(deadline)
  end
  if reply then
    fields, problem = parse(reply, id, user)
  end
  if not fields then
    disconnect()
  end
  return fields, problem
end

function auth_password_verify(request, password)
  local parameters, user = describe(request)
  local fields, problem = ask(parameters, user, password)
  if not fields then
    return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "mailauth at " .. SOCKET_PATH .. ": " .. problem
  elseif fields.verdict == "OK" then
    if not fields.user then
      disconnect()
      return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "mailauth let in nobody by name"
    end
    -- The same name over again would only be work for Dovecot.
    return dovecot.auth.PASSDB_RESULT_OK, fields.user ~= user and { user = fields.user } or {}
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
