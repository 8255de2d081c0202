/** Opens the database of a provider when it is first needed, and closes it. */
import { SessionError } from "../../core/errors.ts";
import { checkKv, type DenoKv, openKvOfRuntime } from "./database.ts";

/**
 * The database of a provider: one that was handed in, or one that is opened
 * when it is first needed.
 */
export class Connection {
  readonly #source: string | undefined;
  readonly #given: DenoKv | undefined;
  #opened: Promise<DenoKv> | undefined;
  #isClosed = false;

  /**
   * @param source An open database, or what to open.
   * @throws {TypeError} If it is neither, or if something is to be opened and
   * this runtime has no `Deno.openKv`.
   */
  constructor(source: DenoKv | string | undefined) {
    if (typeof source === "object") this.#given = checkKv(source);
    else this.#source = checkSource(source);
  }

  /**
   * The open database.
   *
   * @throws {SessionError} With the code `closed` after {@linkcode close}.
   */
  async open(): Promise<DenoKv> {
    this.#checkOpen();
    if (this.#given !== undefined) return this.#given;
    const opening = this.#opened ??= openKvOfRuntime()(this.#source);
    try {
      const kv = await opening;
      this.#checkOpen();
      return kv;
    } catch (error) {
      // What failed once is tried anew by the next call.
      if (!this.#isClosed && this.#opened === opening) this.#opened = undefined;
      throw error;
    }
  }

  /** Closes the database unless it was handed in. Twice is safe. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // Who asked for a database that cannot be opened has heard of it.
    const opened = await this.#opened?.catch(() => undefined);
    opened?.close();
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new SessionError("closed", "Cannot use DenoKvProvider: it is closed");
  }
}

function checkSource(source: unknown): string | undefined {
  if (source !== undefined && (typeof source !== "string" || source === "")) {
    throw new TypeError(
      `Cannot create DenoKvProvider: source must be an open Deno KV, a path or a URL: received ${
        source === "" ? "an empty string" : typeof source
      }`,
    );
  }
  openKvOfRuntime();
  return source;
}
