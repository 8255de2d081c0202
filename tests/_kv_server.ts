/**
 * A remote Deno KV of its own for tests, on a free port of this machine: what
 * `Deno.openKv("http://…")` talks to, by the KV Connect protocol.
 *
 * @module
 */
import { Buffer } from "node:buffer";

const HOST = "127.0.0.1";
const TOKEN = "a token of the tests";

/** A value as the client sent it, and when it was written. */
interface Entry {
  readonly value: Uint8Array;
  readonly encoding: number;
  readonly versionstamp: Uint8Array;
}

/** The fields of a Protobuf message by number: integers, and all else as bytes. */
type Message = ReadonlyMap<number, readonly (number | Uint8Array)[]>;

/** Keeps everything in memory, as long as it runs. */
export class KvServer {
  // The client speaks HTTP/2 from its first word on, as this server does.
  readonly #server = Deno.serve(
    { hostname: HOST, port: 0, onListen: () => {} },
    (request) => this.#answer(request),
  );
  readonly #formerToken = Deno.env.get("DENO_KV_ACCESS_TOKEN");
  /** By key in hexadecimal digits, whose order is that of the keys. */
  readonly #entries = new Map<string, Entry>();
  #writes = 0;
  /** How many of the next writes are done, but said to have failed. */
  lost = 0;
  /** Whether it refuses everything, as one that is overloaded does. */
  isAway = false;
  /** How many reads and writes have reached it. */
  requests = 0;

  /** Starts a server, and lets this process in until it stops. */
  constructor() {
    Deno.env.set("DENO_KV_ACCESS_TOKEN", TOKEN);
  }

  get url(): string {
    return `http://${HOST}:${this.#server.addr.port}`;
  }

  async stop(): Promise<void> {
    if (this.#formerToken === undefined) {
      Deno.env.delete("DENO_KV_ACCESS_TOKEN");
    } else Deno.env.set("DENO_KV_ACCESS_TOKEN", this.#formerToken);
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    if (this.isAway) return new Response("come back later", { status: 503 });
    const { pathname } = new URL(request.url);
    if (pathname === "/") return database();
    this.requests++;
    const message = read(await request.bytes());
    if (pathname !== "/v3/atomic_write") return protobuf(this.#read(message));
    const written = this.#write(message);
    if (this.lost === 0) return protobuf(written);
    this.lost--;
    return new Response("the gateway has timed out", { status: 504 });
  }

  #read(request: Message): Buffer<ArrayBuffer> {
    const ranges = (request.get(1) ?? []).map((range) => {
      const found = this.#range(read(range as Uint8Array));
      return field(1, Buffer.concat(found));
    });
    // Strongly consistent, and a success.
    return Buffer.concat([...ranges, field(4, 1), field(8, 1)]);
  }

  #range(range: Message): Uint8Array[] {
    const [start, end] = [hex(bytesOf(range, 1)), hex(bytesOf(range, 2))];
    const keys = [...this.#entries.keys()]
      .filter((key) => key >= start && key < end)
      .sort();
    if (numberOf(range, 4) === 1) keys.reverse();
    return keys.slice(0, numberOf(range, 3)).map((key) => {
      const { value, encoding, versionstamp } = this.#entries.get(key) as Entry;
      const entry = [
        ...[field(1, Buffer.from(key, "hex")), field(2, value)],
        ...[field(3, encoding), field(4, versionstamp)],
      ];
      return field(1, Buffer.concat(entry));
    });
  }

  #write(request: Message): Buffer<ArrayBuffer> {
    const checks = (request.get(1) ?? []).map((c) => read(c as Uint8Array));
    const isUnchanged = checks.every((check) => {
      const entry = this.#entries.get(hex(bytesOf(check, 1)));
      const versionstamp = entry?.versionstamp ?? new Uint8Array();
      return hex(versionstamp) === hex(bytesOf(check, 2));
    });
    if (!isUnchanged) return field(1, 2);
    const versionstamp = Buffer.alloc(10);
    versionstamp.writeUInt32BE(++this.#writes, 4);
    for (const bytes of request.get(2) ?? []) {
      const mutation = read(bytes as Uint8Array);
      const key = hex(bytesOf(mutation, 1));
      const isSet = numberOf(mutation, 3) === 1;
      const value = read(bytesOf(mutation, 2));
      if (!isSet) this.#entries.delete(key);
      else {
        this.#entries.set(key, {
          value: bytesOf(value, 1),
          encoding: numberOf(value, 2),
          versionstamp,
        });
      }
    }
    return Buffer.concat([field(1, 1), field(2, versionstamp)]);
  }
}

/** What the client asks first: who and where the database is. */
function database(): Response {
  return Response.json({
    version: 3,
    databaseId: "11111111-1111-4111-8111-111111111111",
    endpoints: [{ url: "/v3", consistency: "strong" }],
    token: TOKEN,
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
  });
}

function protobuf(message: Uint8Array<ArrayBuffer>): Response {
  const headers = { "content-type": "application/x-protobuf" };
  return new Response(message, { headers });
}

function read(bytes: Uint8Array): Message {
  const message = new Map<number, (number | Uint8Array)[]>();
  let at = 0;
  const next = () => {
    let value = 0;
    for (let factor = 1;; factor *= 128) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = next();
    let value: number | Uint8Array = next();
    // Of the two kinds that there are here, this is the one with a length.
    if ((tag & 7) === 2) value = bytes.slice(at, at += value);
    const number = tag >> 3;
    message.set(number, [...message.get(number) ?? [], value]);
  }
  return message;
}

function field(
  number: number,
  value: number | Uint8Array,
): Buffer<ArrayBuffer> {
  return typeof value === "number"
    ? Buffer.concat([varint(number << 3), varint(value)])
    : Buffer.concat([varint(number << 3 | 2), varint(value.length), value]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) {
    bytes.push(value % 128 + 128);
  }
  return Uint8Array.from([...bytes, value]);
}

function bytesOf(message: Message, number: number): Uint8Array {
  return message.get(number)?.[0] as Uint8Array | undefined ?? new Uint8Array();
}

function numberOf(message: Message, number: number): number {
  return message.get(number)?.[0] as number | undefined ?? 0;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
