/** What a server answered. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

const END_OF_HEAD = "\r\n\r\n";
const LENGTH = /\r\ncontent-length: (\d+)\r\n/i;

/**
 * Whether all of a response with a `Content-Length` is there.
 *
 * @throws {Error} If it has no such header.
 */
export function isWhole(text: string): boolean {
  const end = text.indexOf(END_OF_HEAD);
  if (end < 0) return false;
  const length = LENGTH.exec(text)?.[1];
  if (length === undefined) {
    throw new Error("Cannot load: the response has no Content-Length");
  }
  return text.length >= end + END_OF_HEAD.length + Number(length);
}

/** The status and the body of a whole response. */
export function readAnswer(text: string): Answer {
  return {
    status: Number(text.slice(9, 12)),
    body: text.slice(text.indexOf(END_OF_HEAD) + END_OF_HEAD.length),
  };
}
