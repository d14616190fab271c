// Questions to begin with. Those that are `made` need the simulator: they show what can't be ordered from
// the real thing.

export const STARTERS = [
  { text: "Why is the sky dark at night?", shows: "Reasoning, Markdown" },
  { text: "Write a token bucket in Python.", shows: "Code" },
  { text: "Compare the weather in Reykjavík and Lisbon, and give me the mean.", shows: "Three tool calls", tools: true },
  { text: "用中文解释一下什么是缓存命中。", shows: "Chinese" },
  { text: "Tell me the long story of the lighthouse at Skarn.", shows: "A long answer, fast" },
  { text: "Let me wait in the queue first.", shows: "Six seconds of queue", made: true },
  { text: "Break off in the middle of your answer.", shows: "A failure", made: true },
];
