/**
 * A prototype that was tampered with, as after an attack on other code of the
 * same process.
 *
 * @module
 */

/** Runs something while every object inherits these properties. */
export async function inheriting<T>(
  properties: Readonly<Record<string, unknown>>,
  run: () => T | Promise<T>,
): Promise<T> {
  const restore = pollute(properties);
  try {
    return await run();
  } finally {
    restore();
  }
}

/** The same for what is done at once. */
export function inheritingAtOnce<T>(
  properties: Readonly<Record<string, unknown>>,
  run: () => T,
): T {
  const restore = pollute(properties);
  try {
    return run();
  } finally {
    restore();
  }
}

function pollute(properties: Readonly<Record<string, unknown>>): () => void {
  Object.assign(Object.prototype, properties);
  return () => {
    for (const name of Object.keys(properties)) {
      Reflect.deleteProperty(Object.prototype, name);
    }
  };
}
