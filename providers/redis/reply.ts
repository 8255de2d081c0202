/** Commands to a server and its answers, whatever the client. */

/** Sends one command, to whoever has its key. */
export type Send = (command: string, args: string[]) => Promise<unknown>;

/** What the server said, as text; `undefined` for nothing. */
export function textOf(reply: unknown): string | undefined {
  if (typeof reply === "string") return reply;
  if (reply === null || reply === undefined) return undefined;
  return reply instanceof Uint8Array
    ? new TextDecoder().decode(reply)
    : String(reply);
}
