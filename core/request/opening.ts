/** What opening a request finds out: which session it has, or why none. */
import type { DeviceJudgement } from "../device/standing.ts";
import type { RefusalReason } from "../events.ts";
import type { SessionRecord } from "../provider.ts";
import type { Token } from "../secret/token.ts";

/** What opening a request has found out. */
export type Opening =
  | {
    readonly standing: "opened";
    readonly token: Token;
    readonly record: SessionRecord;
    /** What is stored of the secret in the token, and of its family. */
    readonly secretHash: string;
    readonly family: string;
    /** Where sessions are bound to devices, what the request is to the device. */
    readonly device: DeviceJudgement | undefined;
  }
  | {
    readonly standing: "unproven";
    readonly token: Token;
    readonly device: DeviceJudgement;
    readonly refusal: RefusalReason;
  }
  | {
    readonly standing: "superseded";
    readonly token: Token;
    readonly refusal: RefusalReason;
  }
  | {
    readonly standing: "ambiguous";
    /** The sessions that the cookies open, each with the family shown. */
    readonly rivals: readonly Rival[];
    readonly refusal: RefusalReason;
  }
  | {
    readonly standing: "visitor";
    readonly refusal: RefusalReason | undefined;
    /** Of sessions that were not found, and that an end is meant for as well. */
    readonly unseen?: readonly Token[];
  };

/** One of two sessions that a request opens. */
export interface Rival {
  readonly id: string;
  readonly family: string;
}

/** Whether a request has no session, and no other may take its place. */
export function isShutOut(
  opening: Opening,
): opening is Extract<
  Opening,
  { readonly standing: "superseded" | "unproven" }
> {
  return opening.standing === "superseded" || opening.standing === "unproven";
}
