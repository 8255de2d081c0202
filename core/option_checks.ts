/** Checks of single options of a manager: each says which one is wrong. */

/** What cannot be done when an option is wrong. */
export const MAKING = "create Manager";

export function checkSeconds(
  doing: string,
  name: string,
  value: number,
  { zero = false, max = Number.MAX_SAFE_INTEGER / 1000 } = {},
): void {
  checkNumber(doing, name, value, "seconds");
  if (value > max) {
    throw new RangeError(
      `Cannot ${doing}: ${name} must not exceed ${max} seconds: received ${value}`,
    );
  }
  if (zero ? value >= 0 : value > 0) return;
  const kind = zero ? "zero or a positive number" : "a positive number";
  throw new RangeError(
    `Cannot ${doing}: ${name} must be ${kind} of seconds: received ${value}`,
  );
}

function checkNumber(
  doing: string,
  name: string,
  value: unknown,
  unit: string,
): void {
  if (typeof value === "number") return;
  throw new TypeError(
    `Cannot ${doing}: ${name} must be a number of ${unit}: received ${typeof value}`,
  );
}

export function checkCount(name: string, value: number, unit: string): void {
  checkNumber(MAKING, name, value, unit);
  if (Number.isSafeInteger(value) && value > 0) return;
  throw new RangeError(
    `Cannot ${MAKING}: ${name} must be a positive whole number of ${unit}: received ${value}`,
  );
}

export function checkChoice(
  name: string,
  value: string,
  choices: readonly string[],
): void {
  if (choices.includes(value)) return;
  const quoted = choices.map((choice) => `"${choice}"`).join(" or ");
  throw new TypeError(
    `Cannot ${MAKING}: ${name} must be ${quoted}: received ${value}`,
  );
}

export function checkFlag(name: string, value: boolean): void {
  if (typeof value === "boolean") return;
  throw new TypeError(
    `Cannot ${MAKING}: ${name} must be true or false: received ${value}`,
  );
}

export function checkFunction(name: string, value: unknown): void {
  if (value === undefined || typeof value === "function") return;
  throw new TypeError(
    `Cannot ${MAKING}: ${name} must be a function: received ${typeof value}`,
  );
}
