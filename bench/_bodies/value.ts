import { Buffer } from "node:buffer";
import { decode, encode } from "../../core/value/codec.ts";
import { dataSize } from "../../core/value/size.ts";
import type { StoredData } from "../../core/value/types.ts";
import { Manager, type Session } from "../../mod.ts";
import { type BenchCase, CALLS, compare } from "./bench_case.ts";

/** One article of a cart, about a hundred bytes of JSON. */
interface Article {
  readonly id: number;
  readonly name: string;
  readonly price: number;
  readonly tags: readonly string[];
}

/** What is measured at each length: a value, and how often in one call. */
interface Sample {
  readonly column: string;
  readonly value: readonly Article[];
  readonly operations: number;
}

const SAMPLES: readonly Sample[] = [
  { column: "100 bytes", value: articles(1), operations: CALLS },
  { column: "1 kB", value: articles(10), operations: 100 },
  { column: "30 kB", value: articles(300), operations: 10 },
];

/** Values into a session and out of it, and to text and back. */
export function valueCases(): BenchCase[] {
  const manager = new Manager<{ cart: unknown }>({
    gcInterval: 0,
    maxSize: 1_000_000,
  });
  // On memory it answers at once.
  const session = manager.start(new Request("http://localhost")) as Session<
    { cart: unknown }
  >;
  return SAMPLES.flatMap((sample) => [
    ...setCases(session, sample),
    ...sizeCases(sample),
    ...encodeCases(sample),
    ...decodeCases(sample),
    ...getCases(session, sample),
    ...viewCases(session, sample),
  ]);
}

function articles(count: number): Article[] {
  return Array.from({ length: count }, (_, index) => ({
    id: 100_000 + index,
    name: `Raincoat, number ${100 + index} of many`,
    price: 8999,
    tags: ["outdoor", "rain", "sale"],
  }));
}

/** How often an answer is right. */
function repeat(operations: number, isRight: () => boolean): () => number {
  return () => {
    let right = 0;
    for (let left = operations; left > 0; left--) if (isRight()) right++;
    return right;
  };
}

function setCases(session: Session, sample: Sample): BenchCase[] {
  const { column, value, operations } = sample;
  const text = JSON.stringify(value);
  return compare({ group: "set a value", column, operations }, [
    {
      name: "JSON round trip",
      run: repeat(operations, () => {
        const copy = JSON.parse(JSON.stringify(value));
        return copy.length === value.length;
      }),
    },
    {
      name: "structuredClone",
      run: repeat(
        operations,
        () => structuredClone(value).length === value.length,
      ),
    },
    {
      name: "ours: session.set",
      run: repeat(operations, () => {
        session.set("cart", value);
        return session.has("cart");
      }),
      verify: () => checkText(JSON.stringify(session.get("cart")), text),
    },
  ]);
}

function sizeCases({ column, value, operations }: Sample): BenchCase[] {
  const data = { cart: value } as unknown as StoredData;
  const size = dataSize(data);
  return compare({ group: "measure a value", column, operations }, [
    {
      name: "Buffer.byteLength of JSON.stringify",
      run: repeat(
        operations,
        () => Math.abs(Buffer.byteLength(JSON.stringify(data)) - size) < 8,
      ),
    },
    {
      name: "ours: dataSize",
      run: repeat(operations, () => dataSize(data) === size),
    },
  ]);
}

function encodeCases({ column, value, operations }: Sample): BenchCase[] {
  const data = { cart: value } as unknown as StoredData;
  const { length } = JSON.stringify(data);
  return compare({ group: "encode", column, operations }, [
    {
      name: "JSON.stringify",
      run: repeat(operations, () => JSON.stringify(data).length === length),
    },
    {
      name: "ours: encode",
      run: repeat(operations, () => encode(data).length === length),
      verify: () => checkText(encode(data), JSON.stringify(data)),
    },
  ]);
}

function decodeCases({ column, value, operations }: Sample): BenchCase[] {
  const text = JSON.stringify(value);
  const isRight = (decoded: unknown) =>
    (decoded as readonly Article[]).length === value.length;
  return compare({ group: "decode", column, operations }, [
    {
      name: "JSON.parse",
      run: repeat(operations, () => isRight(JSON.parse(text))),
    },
    {
      name: "ours: decode",
      run: repeat(operations, () => isRight(decode(text))),
      verify: () => checkText(JSON.stringify(decode(text)), text),
    },
  ]);
}

/** A value that is deeply frozen is handed out as it is. */
function getCases(session: Session, sample: Sample): BenchCase[] {
  const { column, value } = sample;
  const operations = CALLS;
  const object: Readonly<Record<string, unknown>> = { frozen: value };
  return compare({ group: "get a frozen value", column, operations }, [
    {
      name: "property of an object",
      run: repeat(operations, () => object.frozen === value),
    },
    {
      name: "ours: session.get",
      prepare: () => session.set("frozen", value),
      run: repeat(operations, () => session.get("frozen") !== undefined),
    },
  ]);
}

/** A `Map` cannot be frozen: whoever asks gets a copy. */
function viewCases(session: Session, sample: Sample): BenchCase[] {
  const { column, value, operations } = sample;
  const map = new Map(value.map((article) => [article.id, article]));
  const isRight = (copy: unknown) =>
    copy instanceof Map && copy.size === map.size;
  return compare({ group: "get a Map", column, operations }, [
    {
      name: "new Map",
      run: repeat(operations, () => isRight(new Map(map))),
    },
    {
      name: "ours: session.get",
      prepare: () => session.set("map", map),
      run: repeat(operations, () => isRight(session.get("map"))),
    },
  ]);
}

function checkText(text: string, expected: string): void {
  if (text !== expected) {
    throw new Error("Cannot measure: a value did not come back as it was");
  }
}
