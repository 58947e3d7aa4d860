local SOCKET_PATH = "/run/mailauth/auth.sock" -- where mailauth listens
local DEADLINE_S = 10 -- for an answer, and for a connection; mailauth's own is shorter

-- Dovecot 2.3 and 2.4: the Lua passdb that asks mailauth.
--
-- For:    mailauth-lua.conf of this version's folder; needs dovecot-auth-lua and lua-socket.
-- Copy:   to /usr/lib/mailauth/mailauth.lua, root:root 0644.
-- Runs in Dovecot's auth workers, as root by default; each keeps one connection.
--
-- It decides nothing. It hands on the request in Dovecot's own authentication protocol
-- (version 1.1) and maps the reply:
--   OK                    let in, under the name that mailauth returned, with the fields that it
--                         returned (fields = true at its socket): userdb_* and what proxies need
--   FAIL with a reason    "not authenticated here" + the text; the next, last passdb of
--                         mailauth-lua.conf knows nobody and so turns that into a refusal
--   FAIL                  wrong password
--   FAIL code=temp_fail,  temporary failure: the client may try again. So is every doubt:
--   anything else         no daemon, no answer in time, an answer that makes no sense
-- A look-up (LMTP, before it takes a message; `doveadm user`) asks whether the account exists:
--   OK                    it does, under the name that mailauth returned
--   FAIL code=unknown     it does not, and the message bounces
--   anything else         temporary failure, and the message waits
-- A user for whom a master passdb has vouched is looked up likewise: the password is not theirs.
-- An attempt is sent a second time only if it could not be sent the first time: one that
-- was sent may have spent its code already.

-- Only the C parts of lua-socket: Dovecot has Lua look through all that it holds, for
-- garbage, after each login.
local gettime = require("socket.core").gettime
local unix = require("socket.unix")
local base64 = require("mime.core").b64
local new_stream = type(unix) == "table" and unix.stream or unix

local MAX_REPLY_BYTES = 16384 -- mailauth's own cap on a line
local MAX_ID = 0x7fffffff
local UNCHANGED = {} -- what Dovecot is told of a user who keeps the name they gave

-- What is asked of Dovecot: all that mailauth decides or logs by, and all at once, for at each
-- question it first collects everything that it knows of a request. By the name of the field
-- that only that version has.
local TEMPLATES = {
  service = "service=%{service}\trip=%{rip}\tsecured=%L{secured}\tsession=%{session}\tuser=%{user}", -- 2.3
  protocol = "service=%{protocol}\trip=%{remote_ip}\tsecured=%{secured | lower}\tsession=%{session}\tuser=%{user}", -- 2.4
}
local NAME_AND_FIELD = "([%w_]+)=%%L?{([%w_]+)" -- of each of them
local WITHOUT_CONTROLS = "^(" .. ("[^%c]*"):rep(4, "\t") .. ")\tuser=([^%c]*)$"

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

local function receive_line()
  local line, problem = connection:receive("*l")
  if line and #line > MAX_REPLY_BYTES then
    return nil, "a line too long"
  end
  return line, problem
end

local function skip_greeting(deadline)
  local line, problem
  repeat
    connection:settimeout(math.max(0, deadline - gettime()))
    line, problem = receive_line()
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

-- Connect, introduce ourselves, send the attempt and only then read the greeting, for which
-- mailauth does not wait: all by one deadline. Returns nil, or what went wrong.
local function send_on_a_new_connection(line)
  local deadline = gettime() + DEADLINE_S
  local done, problem
  connection, problem = new_stream()
  if not connection then
    return problem
  end
  connection:settimeout(DEADLINE_S)
  done, problem = connection:connect(SOCKET_PATH)
  if not done then
    return problem
  end
  local hello = "VERSION\t1\t1\nCPID\t" .. math.random(1, MAX_ID) .. "\n"
  done, problem = connection:send(hello .. line)
  if not done then
    return problem
  end
  problem = skip_greeting(deadline)
  connection:settimeout(DEADLINE_S) -- for each answer from now on
  return problem
end

-- Send the attempt on the kept connection, or once more on a new one if that failed: a Unix
-- socket takes nothing once its other end is closed, so there is no need to look first.
-- Returns nil, or what went wrong.
local function send(line)
  if connection then
    local sent, problem = connection:send(line)
    if sent then
      return nil
    end
    disconnect()
    if problem == "timeout" then
      return "it takes nothing"
    end
  end
  return send_on_a_new_connection(line)
end

-- Returns mailauth's answer, a line; or nil and what went wrong. `manner` is "1" for an attempt
-- and "lookup" for a look-up, without a password.
local function ask(id, parameters, manner, user, password)
  local response = base64("\0" .. user .. "\0" .. password)
  local question = "AUTH\t" .. id .. "\tPLAIN\t" .. parameters .. "\tmailauth=" .. manner
  local problem = send(question .. "\tresp=" .. response .. "\n")
  local answer
  if not problem then
    answer, problem = receive_line()
  end
  return answer, problem
end

-- What of an answer is for Dovecot, which refuses names that are none (2.3's auth-worker ends).
local FOR_DOVECOT = {
  proxy = true, proxy_timeout = true, proxy_nopipelining = true, host = true, hostip = true, port = true,
  destuser = true, master = true, pass = true, ssl = true, starttls = true,
}

-- Returns an answer's fields as a table, `verdict` first among them, and `extra` those for Dovecot;
-- or nil and a problem.
local function parse(answer, id)
  local fields = { extra = {} }
  local position = 0
  for word in (answer .. "\t"):gmatch("([^\t]*)\t") do
    position = position + 1
    if position == 1 then
      fields.verdict = word
    elseif position == 2 then
      if word ~= id then
        return nil, "it answered another login"
      end
    else
      local name, value = word:match("^([%w_]+)=(.*)$")
      if name and (FOR_DOVECOT[name] or name:match("^userdb_[%w_]+$") or name:match("^forward_[%w_]+$")) then
        fields.extra[name] = unescape(value)
      elseif name and name ~= "verdict" and name ~= "extra" then
        fields[name] = unescape(value)
      end
    end
  end
  if position < 2 or (fields.verdict ~= "OK" and fields.verdict ~= "FAIL") then
    return nil, "its answer makes no sense"
  elseif fields.verdict == "OK" and not fields.user then
    return nil, "it let in nobody by name"
  end
  return fields
end

-- Without an answer that can be relied on, nobody knows what this connection says next.
local function unavailable(problem)
  disconnect()
  return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "mailauth at " .. SOCKET_PATH .. ": " .. problem
end

local function next_id()
  last_id = last_id % MAX_ID + 1
  return tostring(last_id)
end

-- Returns what Dovecot is told of an account that exists, or of one that does not.
local function look_up(request)
  local parameters, user = describe(request)
  local id = next_id()
  local answer, problem = ask(id, parameters, "lookup", user, "")
  if not answer then
    return unavailable(problem)
  end
  local fields
  fields, problem = parse(answer, id)
  if not fields then
    return unavailable(problem)
  elseif fields.verdict == "OK" then
    -- Without a password Dovecot wants to be told so, and that opens nothing. Never add
    -- `allow_nets`: it would be held against the address of who delivers the mail.
    fields.extra.user, fields.extra.nopassword = fields.user, "y"
    return dovecot.auth.PASSDB_RESULT_OK, fields.extra
  elseif fields.code == "unknown" then
    return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, "mailauth: no such account"
  end
  return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "mailauth: no answer to a look-up (lookups = true?)"
end

function auth_password_verify(request, password)
  if request.skip_password_check then
    return look_up(request)
  end
  local parameters, user = describe(request)
  local id = next_id()
  local answer, problem = ask(id, parameters, "1", user, password)
  if not answer then
    return unavailable(problem)
  elseif answer == "OK\t" .. id .. "\tuser=" .. user then
    return dovecot.auth.PASSDB_RESULT_OK, UNCHANGED -- nearly all, and quicker than below
  end
  local fields
  fields, problem = parse(answer, id)
  if not fields then
    return unavailable(problem)
  elseif fields.verdict == "OK" then
    fields.extra.user = fields.user
    return dovecot.auth.PASSDB_RESULT_OK, fields.extra
  elseif fields.code == "temp_fail" then
    return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "mailauth: temporary failure"
  elseif fields.reason then
    -- Not `nologin`: Postfix on Dovecot's auth socket would let such a user in.
    return dovecot.auth.PASSDB_RESULT_OK, { noauthenticate = "y", reason = fields.reason }
  end
  return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "mailauth: denied"
end

-- Without a password: LMTP, proxies, `doveadm user` and `doveadm auth lookup` ask so.
function auth_passdb_lookup(request)
  return look_up(request)
end

function script_init()
  return 0
end

function script_deinit()
  disconnect()
end
