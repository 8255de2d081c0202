/** Sends statements: with a table to send them to, in time, and answered by theirs. */
import { SessionError } from "../../core/errors.ts";
import type { Patience } from "../../core/provider.ts";
import { ServerClock } from "../../core/store/server_clock.ts";
import { type PostgresClient, type PostgresParam, send } from "./client.ts";
import {
  commentOf,
  creationOf,
  LATE,
  PRESENT,
  SCHEMA_VERSION,
  type Statement,
  textOf,
} from "./statement.ts";

/** How often a statement is sent at most: each refusal let another one pass. */
const MOST_ATTEMPTS = 10;

/**
 * How long the look at the table is shared, in milliseconds. One that is never
 * answered must not keep others from being made.
 */
const LONGEST_LOOK = 1000;

const UNDEFINED_TABLE = "42P01";

/** What is sent again: serialization failure, deadlock, no table. */
const RETRIED: ReadonlySet<string> = new Set([
  "40001",
  "40P01",
  UNDEFINED_TABLE,
]);

/** How a {@linkcode Connection} sends. */
export interface ConnectionOptions {
  /** In quotes. */
  readonly table: string;
  readonly prepares: boolean;
}

/** One way to a table. */
export class Connection {
  /** Replaced by its owner, if the connections behind it have fallen silent. */
  client: PostgresClient;
  readonly #table: string;
  readonly #prepares: boolean;
  readonly #clock = new ServerClock(async () => {
    const clock = { answer: `SELECT ${PRESENT}::text` };
    return Number((await this.#ask(clock, null))[0]);
  });
  #preparing: Promise<void> | undefined;
  #preparingSince = -Infinity;
  #isPrepared = false;

  constructor(client: PostgresClient, { table, prepares }: ConnectionOptions) {
    this.client = client;
    this.#table = table;
    this.#prepares = prepares;
  }

  /**
   * Sends a statement, and once more what the server refused because of another.
   *
   * @param patience After which it does nothing, if the server gets it then.
   * @returns The first column of each row.
   * @throws {SessionError} With code `"timeout"`, if the server got it too late.
   */
  async run(
    statement: Statement,
    patience?: Patience,
  ): Promise<readonly string[]> {
    let isClockSet = false;
    for (let attempt = 1;; attempt++) {
      const [limit] = await Promise.all([
        this.#clock.limitOf(patience),
        this.#isPrepared ? undefined : this.#prepare(),
      ]);
      try {
        const answers = await this.#ask(statement, limit ?? null);
        if (limit === undefined) return answers;
        const inTime = answers.filter((answer) => !answer.startsWith(LATE));
        const [late] = answers;
        // A time that was up only when all was done is no answer.
        if (late === undefined || inTime.length > 0) return inTime;
        this.#clock.learn(Number(late.slice(LATE.length)));
        // It is not late, but a clock was set, if somebody still waits.
        const isWaiting = performance.now() < (patience?.giveUpAt ?? 0);
        if (isClockSet || !isWaiting) throw tooLate();
        isClockSet = true;
      } catch (error) {
        if (error instanceof SessionError) throw error;
        const code = codeOf(error);
        if (attempt === MOST_ATTEMPTS || !RETRIED.has(code)) {
          // It may be another server that answers next.
          this.#clock.doubt();
          throw error;
        }
        // Somebody has dropped the table: it is made anew.
        if (code === UNDEFINED_TABLE) this.#forgetTable();
      }
    }
  }

  /** What the server's clock says, in milliseconds since the Unix epoch. */
  time(): Promise<number> {
    return this.#clock.read();
  }

  #forgetTable(): void {
    this.#isPrepared = false;
    this.#preparing = undefined;
  }

  /** Makes the table once; what failed is tried anew by the next call. */
  #prepare(): Promise<void> {
    const now = performance.now();
    const isHanging = now - this.#preparingSince > LONGEST_LOOK;
    if (this.#preparing !== undefined && !isHanging) return this.#preparing;
    this.#preparingSince = now;
    const preparing = this.#makeTable().then(
      () => {
        this.#isPrepared = true;
      },
      (error) => {
        if (this.#preparing === preparing) this.#preparing = undefined;
        throw error;
      },
    );
    return this.#preparing = preparing;
  }

  async #makeTable(): Promise<void> {
    if (await this.#isTableThere()) return;
    await this.#send(creationOf(this.#table), []);
    await this.#isTableThere();
  }

  /** Refuses a table that is there and is not of this version. */
  async #isTableThere(): Promise<boolean> {
    const [comment] = await this.#ask({
      // Through pg_class, so that table and comment are of one snapshot.
      answer: `SELECT coalesce(obj_description(oid, 'pg_class'), '')
FROM pg_class WHERE oid = to_regclass($1::text)`,
      values: [this.#table],
    }, null);
    if (comment === undefined) return false;
    const expected = commentOf(SCHEMA_VERSION);
    if (comment === expected) return true;
    const [, version] = /^cloakroom session schema (\d+)$/.exec(comment) ?? [];
    const isNone = comment === "";
    throw new SessionError(
      "store-failed",
      `Cannot use table ${this.#table}: its comment must say "${expected}": received ${
        isNone ? "none" : version === undefined ? "another one" : `"${comment}"`
      }${
        isNone
          ? `: if the table is this provider's, run COMMENT ON TABLE ${this.#table} IS '${expected}'`
          : ""
      }`,
    );
  }

  /** The answers to a statement, and to no other. */
  async #ask(
    statement: Statement,
    limit: number | null,
  ): Promise<readonly string[]> {
    const { text, tag, values } = textOf(statement, limit);
    const answers = await this.#send(text, values);
    const at = answers.indexOf(tag);
    if (at !== -1) return answers.toSpliced(at, 1);
    throw new SessionError(
      "store-failed",
      "Cannot use the database's answer: it is that of another statement: does a pooler hand connections on that has no prepared statements, such as PgBouncer before 1.21? Then say prepare: false, and with a Bun.SQL of your own do so in its options",
    );
  }

  /** The first column of each row: clients can rename and convert columns. */
  async #send(
    text: string,
    params: PostgresParam[],
  ): Promise<readonly string[]> {
    const answer = await send(this.client, text, params, this.#prepares);
    const rows: readonly Readonly<Record<string, string>>[] =
      Array.isArray(answer) ? answer : (answer as { rows: [] }).rows;
    return rows.map((row) => Object.values(row)[0] as string);
  }
}

function tooLate(): SessionError {
  return new SessionError(
    "timeout",
    "Cannot write to Postgres: the server got the statement when it had been given up, and did nothing",
  );
}

/** The server's code; `Bun.SQL` has it as `errno`. */
function codeOf(error: unknown): string {
  const { code, errno } = Object(error);
  return RETRIED.has(String(errno)) ? String(errno) : String(code);
}
