// Vercel AI SDK: generateText and streamText with the provider for OpenAI-compatible servers.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

const provider = createOpenAICompatible({
  name: "local",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
});
const asked = { model: provider(process.env.MODEL), prompt: process.argv[2] };

const plain = await generateText(asked);
const greedy = await generateText({ ...asked, temperature: 0 });
const streamed = await streamText({ ...asked, temperature: 0 }).text;
console.log(JSON.stringify({ plain: plain.text, greedy: greedy.text, streamed }));
