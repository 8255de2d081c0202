/** What code prints for whoever listens to no event. */
import { channel } from "node:diagnostics_channel";

/** The lines that code prints as errors. Tests may be run by many at a time. */
export async function printed(run: () => Promise<void>): Promise<string[]> {
  const { error } = console;
  const lines: string[] = [];
  console.error = (...args: unknown[]) => {
    lines.push(args.join(" "));
  };
  try {
    await withoutSubscribers(run);
  } finally {
    console.error = error;
  }
  return lines;
}

/** The watch for leaks listens to every event. */
async function withoutSubscribers(run: () => Promise<void>): Promise<void> {
  const events = channel("@cloakroom/session");
  const { hasSubscribers } = events;
  if (!hasSubscribers) return await run();
  Object.defineProperty(events, "hasSubscribers", {
    value: false,
    configurable: true,
  });
  try {
    await run();
  } finally {
    Reflect.deleteProperty(events, "hasSubscribers");
  }
}
