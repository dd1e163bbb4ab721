-- Whether anything of one request ever stands in another's reply: ten kinds of requests in turn,
-- each with a mark of its own in body, path and key; a reply may have that mark and no other, and
-- a 200 has to have it.  One connection per thread, so that requests and replies pair up:
--
--   build/release/cc-proxy mock &
--   build/release/cc-proxy serve --set ANTHROPIC_BASE_URL=http://127.0.0.1:9100 --set WORKERS=2 &
--   wrk -t16 -c16 -d150s -s bench/bleed.lua http://127.0.0.1:8001
--
-- With --set ANTHROPIC_PROTOCOLS=responses all of it is converted.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init()
  n, replies, with_mark, wrong, first = 0, 0, 0, 0, ""
end

local function post(target, headers, body)
  return wrk.format("POST", target, headers, body)
end

local function messages(model, more)
  return '{"model":"' .. model .. '","max_tokens":9,' .. more ..
         '"messages":[{"role":"user","content":"' .. model .. '"}]}'
end

local kinds = {
  function(m, key) return wrk.format("GET", "/v1/files?after=" .. m, key) end,
  function(m, key) return post("/v1/messages", key, messages(m, "")) end,
  function(m, key) return post("/v1/messages", key, messages(m, '"stream":true,')) end,
  function(m, key) return post("/v1/messages", key, '{"' .. m .. '"') end,
  function(m, key) return post("/v1/chat/completions", key, messages(m, "")) end,
  function(m, key)
    return post("/v1/responses", key, '{"model":"' .. m .. '","stream":true,"input":"' .. m .. '"}')
  end,
  function(m, key)
    key["x-note"] = string.rep("n", n % 3000)
    return wrk.format("GET", "/v1/files?after=" .. m, key)
  end,
  function(m, key) return wrk.format("GET", "/" .. m, key) end,
  function(m, key)
    key["x-mock-fault"] = "status-429"
    return post("/v1/messages", key, messages(m, ""))
  end,
  function(m, key)
    return post("/v1/messages", key, messages(m, '"system":"' .. string.rep("s", n % 5000) .. '",'))
  end,
}

function request()
  n = n + 1
  mark = "mark-" .. number .. "-" .. n .. "-x"
  return kinds[n % #kinds + 1](mark, { ["x-api-key"] = "sk-" .. mark })
end

local function complain(text)
  wrong = wrong + 1
  if first == "" then first = text end
end

function response(status, headers, body)
  local text, has = body, false
  for _, value in pairs(headers) do text = text .. "\n" .. value end
  for m in string.gmatch(text, "mark%-%d+%-%d+%-x") do
    if m == mark then has = true else complain(mark .. " got " .. m) end
  end
  if status == 200 and not has then complain("no " .. mark .. " in " .. body) end
  if has then with_mark = with_mark + 1 end
  replies = replies + 1
end

function done(summary)
  local sum = { replies = 0, with_mark = 0, wrong = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sum) do sum[name] = sum[name] + thread:get(name) end
    if thread:get("first") ~= "" then print("wrong: " .. thread:get("first")) end
  end
  local e = summary.errors
  print(string.format("%d replies, %d with their own mark, %d wrong; %d socket errors", sum.replies,
                      sum.with_mark, sum.wrong, e.connect + e.read + e.write + e.timeout))
end
