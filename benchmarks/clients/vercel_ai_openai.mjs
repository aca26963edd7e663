// Vercel AI SDK: generateText and streamText with its provider for OpenAI, chat completions.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";

const provider = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY });
const asked = { model: provider.chat(process.env.MODEL), prompt: process.argv[2] };

const plain = await generateText(asked);
const greedy = await generateText({ ...asked, temperature: 0 });
const streamed = await streamText({ ...asked, temperature: 0 }).text;
console.log(JSON.stringify({ plain: plain.text, greedy: greedy.text, streamed }));
