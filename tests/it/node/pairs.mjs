// The vendors' SDKs for Node in front of one proxy: node pairs.mjs CLAUDE_URL CODEX_URL PNG PDF,
// the latter two in base64.  Prints one JSON object: what each protocol's client understood, or the
// class of what it threw.  Each request carries x-test-id: CLIENT-WAY-WHAT.

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [claude, codex, png, pdf] = process.argv.slice(2);
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
  media: (text) => [{ role: "user", content: [
    { type: "image", source: { type: "base64", media_type: "image/png", data: png } },
    { type: "document", title: "a.pdf",
      source: { type: "base64", media_type: "application/pdf", data: pdf } },
    { type: "text", text }] }],
  async ask(turns, stream, wants, options) {
    const body = { model, max_tokens: wants.limit ?? 2000, messages: turns, ...wants.change };
    if (wants.schema) body.output_config = { format: { type: "json_schema", schema } };
    if (wants.think) body.thinking = { type: "adaptive" };
    if (wants.tools) body.tools = [{ name: "weather", input_schema: schema }];
    const m = stream ? await anthropic.messages.stream(body, options).finalMessage()
                     : await anthropic.messages.create(body, options);
    const of = (type) => m.content.filter((b) => b.type === type);
    return { text: of("text").map((b) => b.text).join(""),
             thinking: of("thinking").map((b) => b.thinking).join(""),
             calls: of("tool_use").map((b) => [b.id, b.name, b.input]),
             stop: m.stop_reason, usage: m.usage.output_tokens,
             refusal: m.stop_details?.explanation ?? "",
             again: [{ role: "assistant", content: m.content }] };
  },
};

// What the helper does, which throws when the reply was cut off or filtered.
async function addUp(chunks) {
  const message = { content: "", refusal: "" };
  let finish_reason, usage;
  for await (const k of chunks) {
    usage = k.usage ?? usage;
    for (const { delta, finish_reason: f } of k.choices) {
      message.content += delta.content ?? "";
      message.refusal += delta.refusal ?? "";
      finish_reason = f ?? finish_reason;
    }
  }
  return { usage, choices: [{ finish_reason, message }] };
}

const chat = {
  user: (content) => [{ role: "user", content }],
  results: (list) => list.map(([id, content]) => ({ role: "tool", tool_call_id: id, content })),
  media: (text) => [{ role: "user", content: [
    { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
    { type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${pdf}` } },
    { type: "text", text }] }],
  async ask(turns, stream, wants, options) {
    const body = { model, messages: turns, ...wants.change };
    if (wants.limit) body.max_completion_tokens = wants.limit;
    if (wants.schema) body.response_format = { type: "json_schema", json_schema: {
      name: "place", strict: true, schema } };
    if (wants.think) body.reasoning_effort = "medium";
    if (wants.tools) body.tools = [{ type: "function",
                                     function: { name: "weather", parameters: schema } }];
    const streamed = { ...body, stream_options: { include_usage: true } };
    let c, thinking = ""; // of a member it does not know the helper keeps the last piece only
    if (stream && wants.byHand) {
      c = await addUp(await openai.chat.completions.create({ ...streamed, stream: true }, options));
    } else if (stream) {
      const s = openai.chat.completions.stream(streamed, options);
      s.on("chunk", (k) => { thinking += k.choices[0]?.delta.reasoning_content ?? ""; });
      c = await s.finalChatCompletion();
    } else {
      c = await openai.chat.completions.create(body, options);
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
             stop: finish_reason, usage: c.usage.completion_tokens, refusal: m.refusal ?? "",
             again: [again] };
  },
};

const responses = {
  user: (content) => [{ role: "user", content }],
  results: (list) => list.map(([id, output]) => (
    { type: "function_call_output", call_id: id, output })),
  media: (text) => [{ role: "user", content: [
    { type: "input_image", detail: "auto", image_url: `data:image/png;base64,${png}` },
    { type: "input_file", filename: "a.pdf", file_data: `data:application/pdf;base64,${pdf}` },
    { type: "input_text", text }] }],
  async ask(turns, stream, wants, options) {
    const body = { model, input: turns, store: false, ...wants.change };
    if (wants.limit) body.max_output_tokens = wants.limit;
    if (wants.schema) body.text = { format: { type: "json_schema", name: "place", strict: true,
                                              schema } };
    if (wants.think) {
      body.reasoning = { effort: "medium", summary: "auto" };
      body.include = ["reasoning.encrypted_content"];
    }
    if (wants.tools) body.tools = [{ type: "function", name: "weather", strict: true,
                                     parameters: schema }];
    let r;
    if (stream) {
      for await (const event of await openai.responses.create({ ...body, stream: true },
                                                                options))
        if (["response.completed", "response.incomplete"].includes(event.type)) r = event.response;
      if (!r) throw new OpenAI.APIError(undefined, undefined, "no end", undefined);
    } else {
      r = await openai.responses.create(body, options);
    }
    const of = (type) => r.output.filter((i) => i.type === type);
    const said = (type) => of("message").flatMap((i) => i.content)
      .filter((p) => p.type === type).map((p) => p.text ?? p.refusal).join("");
    return { text: said("output_text"), refusal: said("refusal"),
             thinking: of("reasoning").flatMap((i) => i.summary).map((s) => s.text).join(""),
             calls: of("function_call").map((i) => [i.call_id, i.name, JSON.parse(i.arguments)]),
             stop: r.incomplete_details?.reason ?? r.status, usage: r.usage.output_tokens,
             again: r.output };
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

async function seen(name, client, stream) {
  const api = client === messages ? Anthropic : OpenAI;
  const ask = (what, turns, wants = {}) => client.ask(turns, stream, wants, { headers: {
    "x-test-id": `${name}-${what}` } });
  const asked = client.user(use);
  const first = await ask("first", asked, { tools: true, think: true });
  const [a, b] = first.calls;
  const turns = [...asked, ...first.again, ...client.results([[a[0], "sunny"], [b[0], "rain"]])];
  const second = await ask("second", turns, { tools: true, think: true });
  const hello = client.user("hello");
  const fault = (kind, what) => thrown(ask(what, hello, { change: { model: `mock-${what}` } }),
                                       kind);
  return { first, second,
           media: await ask("media", client.media("hello")),
           schema: await ask("schema", hello, { schema: true }),
           limit: await ask("limit", hello, { limit: 16, byHand: true }),
           refuse: await ask("refuse", client.user("mock:refuse"), { byHand: true }),
           limited: await fault(api.RateLimitError, "status-429"),
           broken: await fault(api.APIError, "cut"),
           failed: stream ? await fault(api.APIError, "error-event") : "" };
}

const out = {};
for (const [protocol, client] of Object.entries({ messages, chat, responses }))
  for (const stream of [false, true]) {
    const name = `${protocol}-${stream ? "stream" : "whole"}`;
    out[name] = await seen(name, client, stream).catch((e) => ({ thrown: e.stack }));
  }
console.log(JSON.stringify(out));
