/** Sends statements: with a table to send them to, in time, and again if need be. */
import { Buffer } from "node:buffer";
import { SessionError } from "../../core/errors.ts";
import type { Patience } from "../../core/provider.ts";
import { ServerClock } from "../../core/store/server_clock.ts";
import {
  type Answer,
  errnoOf,
  type MysqlClient,
  send,
  withoutData,
} from "./client.ts";
import {
  commentOf,
  LATE,
  PRESENT,
  SCHEMA_VERSION,
  schemaOf,
  SETTINGS,
  type Statement,
  type TableName,
  tableOf,
  textOf,
} from "./statement.ts";

/**
 * How long the look at the table is shared, in milliseconds. One that is never
 * answered must not keep others from being made.
 */
const LONGEST_LOOK = 1000;

const NO_SUCH_TABLE = 1146;

/** The server's number for a packet larger than its `max_allowed_packet`. */
export const TOO_LARGE = 1153;

/** As servers of 64 bits and of 32 bits tell it. */
const NO_SELECT_LIMIT: readonly string[] = [
  "18446744073709551615",
  "4294967295",
];

const EMPTY_IS_NULL = "EMPTY_STRING_IS_NULL";

/**
 * What is sent once more: nothing of it was done. A deadlock, a wait for a lock, a
 * record that changed since it was read, a statement that is to be prepared anew,
 * and no table.
 */
const RETRIED: ReadonlySet<number> = new Set([
  1213,
  1205,
  1020,
  1615,
  NO_SUCH_TABLE,
]);

/** One way to a table. */
export class Connection {
  /** Replaced by its owner, if the connections behind it have fallen silent. */
  client: MysqlClient;
  readonly #table: TableName;
  readonly #clock = new ServerClock(async () => {
    const { rows } = await this.#send({ sql: `SELECT ${PRESENT}`, values: [] });
    return Number(rows[0]?.[0]);
  });
  #preparing: Promise<void> | undefined;
  #preparingSince = -Infinity;
  #isPrepared = false;
  #returns = false;
  #largestPacket = Infinity;

  constructor(client: MysqlClient, table: TableName) {
    this.client = client;
    this.#table = table;
  }

  /** Whether the server answers what it deletes; known with the table. */
  async returns(): Promise<boolean> {
    if (!this.#isPrepared) await this.#prepare();
    return this.#returns;
  }

  /**
   * Sends a statement, and once more what the server refused because of another.
   *
   * @param patience After which it does nothing, if the server gets it then.
   * @throws {SessionError} With code `"timeout"`, if the server got it too late.
   */
  async run(statement: Statement, patience?: Patience): Promise<Answer> {
    let isRepeated = false;
    for (;;) {
      const [limit] = await Promise.all([
        this.#clock.limitOf(patience),
        this.#isPrepared ? undefined : this.#prepare(),
      ]);
      try {
        this.#checkSize(statement);
        return await this.#send(statement, limit);
      } catch (error) {
        const errno = errnoOf(error);
        const isLate = errno === LATE;
        if (isLate) await this.#clock.read();
        // It is not late, but a clock was set, if somebody still waits.
        const isWaiting = performance.now() < (patience?.giveUpAt ?? Infinity);
        const isRefused = errno !== undefined && RETRIED.has(errno);
        if (isRepeated || !isWaiting || !(isLate || isRefused)) {
          if (isLate) throw tooLate();
          // It may be another server that answers next.
          this.#clock.doubt();
          throw error;
        }
        isRepeated = true;
        // Somebody has dropped the table: it is made anew.
        if (errno === NO_SUCH_TABLE) this.#forgetTable();
      }
    }
  }

  /** What the server's clock says, in milliseconds since the Unix epoch. */
  time(): Promise<number> {
    return this.#clock.read();
  }

  /** Refuses what the server would refuse, which ends the connection for it. */
  #checkSize({ values }: Statement): void {
    let size = 0;
    for (const value of values) {
      if (value !== null) size += Buffer.byteLength(value);
    }
    if (size <= this.#largestPacket) return;
    const message = "the values are larger than max_allowed_packet";
    throw Object.assign(new Error(message), {
      errno: TOO_LARGE,
      sqlState: "08S01",
    });
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
    await this.#checkSettings();
    if (await this.#isTableThere()) return;
    await this.#send({ sql: schemaOf(this.#table.quoted), values: [] });
    await this.#isTableThere();
  }

  /** Refuses a connection on which a promise could not be kept. */
  async #checkSettings(): Promise<void> {
    const { rows } = await this.#send(SETTINGS);
    const settings = new Map(
      rows.map(([name, value]) =>
        [textOfAnswer(name), textOfAnswer(value)] as const
      ),
    );
    this.#returns = /mariadb/i.test(settings.get("version") ?? "");
    this.#largestPacket = Number(
      settings.get("max_allowed_packet") ?? Infinity,
    );
    check("autocommit", ["ON"], settings);
    // What is written would be undone with the transaction.
    check("in_transaction", ["0"], settings);
    check("sql_select_limit", NO_SELECT_LIMIT, settings);
    checkMode(settings.get("sql_mode") ?? "");
    for (const part of ["client", "connection", "results"]) {
      check(`character_set_${part}`, ["utf8mb4"], settings);
    }
    // A replica would run the statement later, and by its own clock.
    if (settings.get("log_bin") !== "ON") return;
    check("binlog_format", ["ROW", "MIXED"], settings);
  }

  /** Refuses a table that is there and is not of this version. */
  async #isTableThere(): Promise<boolean> {
    const { rows: [row] } = await this.#send(tableOf(this.#table));
    if (row === undefined) return false;
    const [comment, engine] = row.map(textOfAnswer);
    const name = this.#table.quoted;
    const expected = commentOf(SCHEMA_VERSION);
    if (comment !== expected) {
      throw new SessionError(
        "store-failed",
        `Cannot use table ${name}: its comment must say "${expected}": received ${
          comment === "" ? "none" : "another one"
        }${
          comment === ""
            ? `: if the table is this provider's, run ALTER TABLE ${name} COMMENT = '${expected}'`
            : ""
        }`,
      );
    }
    if (engine === "InnoDB") return true;
    throw new SessionError(
      "store-failed",
      `Cannot use table ${name}: its engine must be InnoDB, which alone does each statement as a whole: received ${engine}`,
    );
  }

  async #send(statement: Statement, limit?: number): Promise<Answer> {
    const { text, values } = textOf(statement, limit);
    try {
      return await send(this.client, text, values);
    } catch (error) {
      throw withoutData(error);
    }
  }
}

/** Refuses the one mode in which a text is not what it is. */
function checkMode(modes: string): void {
  if (!modes.split(",").includes(EMPTY_IS_NULL)) return;
  throw new SessionError(
    "store-failed",
    `Cannot use the database: sql_mode must be without ${EMPTY_IS_NULL}, in which an empty text is none: received ${modes}`,
  );
}

function check(
  name: string,
  accepted: readonly string[],
  settings: ReadonlyMap<string, string>,
): void {
  const value = settings.get(name);
  if (value === undefined || accepted.includes(value)) return;
  throw new SessionError(
    "store-failed",
    `Cannot use the database: ${name} must be ${
      accepted.join(" or ")
    }: received ${value}`,
  );
}

/** A text of the server's own, which some columns of it hold as bytes. */
function textOfAnswer(value: unknown): string {
  return typeof value === "string"
    ? value
    : new TextDecoder().decode(value as Uint8Array);
}

function tooLate(): SessionError {
  return new SessionError(
    "timeout",
    "Cannot write to the database: the server got the statement when it had been given up, and did nothing",
  );
}
