// Vercel's AI SDK and Cloudflare's providers against a local gateway; prints one JSON line for each check.
// Hosts that a client has built in are replaced in `fetch`.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateText, jsonSchema, streamText, tool } from "ai";
import { createAiGateway } from "ai-gateway-provider";
import { createAnthropic as viaGatewayAnthropic } from "ai-gateway-provider/providers/anthropic";
import { createOpenAI as viaGatewayOpenAI } from "ai-gateway-provider/providers/openai";
import { unified } from "ai-gateway-provider/providers/unified";
import { createWorkersAI } from "workers-ai-provider";

const { SIM_URL, SIM_ACCOUNT, SIM_TOKEN } = process.env;
const legacy = `${SIM_URL}/v1/${SIM_ACCOUNT}/default`;
const api = `${SIM_URL}/client/v4/accounts/${SIM_ACCOUNT}/ai`;
const gatewayToken = { "cf-aig-authorization": `Bearer ${SIM_TOKEN}` };

const original = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const url = typeof input === "string" ? input : (input.url ?? String(input));
  const local = url
    .replace("https://api.cloudflare.com", SIM_URL)
    .replace("https://gateway.ai.cloudflare.com", SIM_URL);
  return original(input instanceof Request ? new Request(local, input) : local, init);
};

const weather = tool({
  description: "Weather of a city",
  inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
});

async function chat(model) {
  const { text, usage } = await generateText({ model, prompt: "Say exactly: Good morning", maxRetries: 0 });
  if (!text.includes("Good morning") || !(usage.inputTokens > 0)) throw new Error(JSON.stringify({ text, usage }));
}

async function stream(model) {
  const failures = [];
  const result = streamText({
    model,
    prompt: "Say exactly: Good morning to you",
    maxRetries: 0,
    onError: ({ error }) => failures.push(error),
  });
  let text = "";
  for await (const piece of result.textStream) text += piece;
  if (failures.length) throw failures[0];
  if (!text.includes("Good morning to you")) throw new Error(JSON.stringify(text));
}

async function tools(model) {
  const { toolCalls } = await generateText({
    model,
    tools: { get_weather: weather },
    prompt: "What is the weather in Paris?",
    maxRetries: 0,
  });
  if (toolCalls[0]?.toolName !== "get_weather" || toolCalls[0].input.city !== "Paris")
    throw new Error(JSON.stringify(toolCalls));
}

async function embeddings(model, size) {
  const { embeddings } = await embedMany({ model, values: ["one", "two"], maxRetries: 0 });
  if (embeddings.length !== 2 || embeddings[0].length !== size) throw new Error(`${embeddings[0]?.length}`);
}

const openai = createOpenAI({ apiKey: "sk-provider", baseURL: `${legacy}/openai`, headers: gatewayToken });
const compat = createOpenAI({ apiKey: SIM_TOKEN, baseURL: `${legacy}/compat` });
const rest = createOpenAI({ apiKey: SIM_TOKEN, baseURL: `${api}/v1` });
const anthropic = createAnthropic({ apiKey: "sk-ant", baseURL: `${legacy}/anthropic/v1`, headers: gatewayToken });
const workersAI = createWorkersAI({ accountId: SIM_ACCOUNT, apiKey: SIM_TOKEN });
const universal = createAiGateway({ accountId: SIM_ACCOUNT, gateway: "default", apiKey: SIM_TOKEN });
const kimi = "@cf/moonshotai/kimi-k2.6";
const gatewayGpt = universal(viaGatewayOpenAI({ apiKey: "sk-provider" }).chat("gpt-4.1"));
const gatewayClaude = universal(viaGatewayAnthropic({ apiKey: "sk-ant" })("claude-haiku-4-5"));

const models = {
  "@ai-sdk/openai chat, legacy": openai.chat("gpt-4.1"),
  "@ai-sdk/openai chat, compat": compat.chat("openai/gpt-4.1"),
  "@ai-sdk/openai chat, REST": rest.chat("openai/gpt-4.1"),
  "@ai-sdk/openai responses, legacy": openai.responses("gpt-4.1"),
  "@ai-sdk/openai responses, REST": rest.responses("openai/gpt-4.1"),
  "@ai-sdk/anthropic": anthropic("claude-haiku-4-5"),
  "workers-ai-provider": workersAI(kimi),
  "workers-ai-provider, native": workersAI("@cf/meta/llama-3.3-70b-instruct-fp8-fast"),
  "ai-gateway-provider, openai": gatewayGpt,
  "ai-gateway-provider, anthropic": gatewayClaude,
  "ai-gateway-provider, unified": universal(unified("openai/gpt-4.1")),
};
const fallback = universal([
  viaGatewayOpenAI({ apiKey: "sk-provider" }).chat("gpt-4.1"),
  viaGatewayAnthropic({ apiKey: "sk-ant" })("claude-haiku-4-5"),
]);
const failOnce = () =>
  original(`${SIM_URL}/_simulator/faults`, { method: "POST", body: JSON.stringify({ name: "provider_error" }) });

async function check(name, run) {
  try {
    await run();
    console.log(JSON.stringify({ name, ok: true }));
  } catch (error) {
    const cause = error.responseBody ?? error.cause?.message ?? "";
    console.log(JSON.stringify({ name, ok: false, error: `${error.name}: ${error.message} ${cause}`.slice(0, 500) }));
  }
}

for (const [name, model] of Object.entries(models)) {
  await check(`${name}: chat`, () => chat(model));
  await check(`${name}: stream`, () => stream(model));
  await check(`${name}: tools`, () => tools(model));
}
for (const [name, run] of Object.entries({ chat, stream, tools })) {
  await check(`ai-gateway-provider, fallback: ${name}`, async () => {
    await failOnce();
    await run(fallback);
  });
}
await check("@ai-sdk/openai: embeddings, legacy", () => embeddings(openai.embedding("text-embedding-3-small"), 1536));
await check("@ai-sdk/openai: embeddings, REST", () => embeddings(rest.embedding("@cf/baai/bge-m3"), 1024));
await check("workers-ai-provider: embeddings", () => embeddings(workersAI.textEmbedding("@cf/baai/bge-m3"), 1024));
