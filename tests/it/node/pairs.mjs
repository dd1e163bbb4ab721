// The vendors' SDKs for Node in front of one proxy: node pairs.mjs CLAUDE_URL CODEX_URL.
// Prints one JSON object: what each protocol's client understood, or the class of what it threw.

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [claude, codex] = process.argv.slice(2);
const anthropic = new Anthropic({ apiKey: "sk-a", baseURL: claude, maxRetries: 0 });
const openai = new OpenAI({ apiKey: "sk-o", baseURL: codex + "/v1", maxRetries: 0 });
const model = "m-any";
const use = "mock:tool mock:parallel please";
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"],
                 additionalProperties: false };

const messages = {
  user: (content) => [{ role: "user", content }],
  results: (list) => [{ role: "user", content: list.map(([id, content]) => (
    { type: "tool_result", tool_use_id: id, content })) }],
  async ask(turns, stream, wants = {}) {
    const body = { model, max_tokens: 2000, messages: turns, ...wants.change };
    if (wants.think) body.thinking = { type: "adaptive" };
    if (wants.tools) body.tools = [{ name: "weather", input_schema: schema }];
    const m = stream ? await anthropic.messages.stream(body).finalMessage()
                     : await anthropic.messages.create(body);
    const of = (type) => m.content.filter((b) => b.type === type);
    return { text: of("text").map((b) => b.text).join(""),
             thinking: of("thinking").map((b) => b.thinking).join(""),
             calls: of("tool_use").map((b) => [b.id, b.name, b.input]),
             stop: m.stop_reason, usage: m.usage.output_tokens,
             again: [{ role: "assistant", content: m.content }] };
  },
};

const chat = {
  user: (content) => [{ role: "user", content }],
  results: (list) => list.map(([id, content]) => ({ role: "tool", tool_call_id: id, content })),
  async ask(turns, stream, wants = {}) {
    const body = { model, messages: turns, ...wants.change };
    if (wants.think) body.reasoning_effort = "medium";
    if (wants.tools) body.tools = [{ type: "function",
                                     function: { name: "weather", parameters: schema } }];
    let c, thinking = ""; // of a member it does not know the helper keeps the last piece only
    if (stream) {
      const s = openai.chat.completions.stream(
        { ...body, stream_options: { include_usage: true } });
      s.on("chunk", (k) => { thinking += k.choices[0]?.delta.reasoning_content ?? ""; });
      c = await s.finalChatCompletion();
    } else {
      c = await openai.chat.completions.create(body);
      thinking = c.choices[0].message.reasoning_content;
    }
    const { message: m, finish_reason } = c.choices[0];
    const { parsed, ...again } = m;
    if (again.tool_calls)
      again.tool_calls = again.tool_calls.map(({ id, type, function: f }) => (
        { id, type, function: { name: f.name, arguments: f.arguments } }));
    return { text: m.content ?? "", thinking,
             calls: (m.tool_calls ?? []).map((t) => [t.id, t.function.name,
                                                     JSON.parse(t.function.arguments)]),
             stop: finish_reason, usage: c.usage.completion_tokens, again: [again] };
  },
};

const responses = {
  user: (content) => [{ role: "user", content }],
  results: (list) => list.map(([id, output]) => (
    { type: "function_call_output", call_id: id, output })),
  async ask(turns, stream, wants = {}) {
    const body = { model, input: turns, store: false, ...wants.change };
    if (wants.think) {
      body.reasoning = { effort: "medium", summary: "auto" };
      body.include = ["reasoning.encrypted_content"];
    }
    if (wants.tools) body.tools = [{ type: "function", name: "weather", strict: true,
                                     parameters: schema }];
    let r;
    if (stream) {
      for await (const event of await openai.responses.create({ ...body, stream: true }))
        if (["response.completed", "response.incomplete"].includes(event.type)) r = event.response;
      if (!r) throw new OpenAI.APIError(undefined, undefined, "no end", undefined);
    } else {
      r = await openai.responses.create(body);
    }
    const of = (type) => r.output.filter((i) => i.type === type);
    return { text: of("message").flatMap((i) => i.content).map((p) => p.text).join(""),
             thinking: of("reasoning").flatMap((i) => i.summary).map((s) => s.text).join(""),
             calls: of("function_call").map((i) => [i.call_id, i.name, JSON.parse(i.arguments)]),
             stop: r.status, usage: r.usage.output_tokens, again: r.output };
  },
};

async function thrown(promise, kind) {
  try {
    const answer = await promise;
    return "nothing: " + JSON.stringify(answer);
  } catch (e) {
    if (!(e instanceof kind)) return "of another class: " + e.stack;
    return `${e.status} ${e.headers?.get?.("retry-after")}`;
  }
}

async function seen(client, stream) {
  const api = client === messages ? Anthropic : OpenAI;
  const asked = client.user(use);
  const first = await client.ask(asked, stream, { tools: true, think: true });
  const [a, b] = first.calls;
  const turns = [...asked, ...first.again, ...client.results([[a[0], "sunny"], [b[0], "rain"]])];
  const second = await client.ask(turns, stream, {
    tools: true, think: true });
  const fault = (name) => client.ask(client.user("hello"), stream, { change: { model: name } });
  return { first, second,
           limited: await thrown(fault("mock-status-429"), api.RateLimitError),
           broken: await thrown(fault("mock-cut"), api.APIError) };
}

const out = {};
for (const [name, client] of Object.entries({ messages, chat, responses }))
  for (const stream of [false, true])
    out[`${name}-${stream ? "stream" : "whole"}`] =
      await seen(client, stream).catch((e) => ({ failed: e.stack }));
console.log(JSON.stringify(out));
