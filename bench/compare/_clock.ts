import process from "node:process";

/**
 * The time that this process has kept processors busy, in milliseconds, helper
 * threads of the engine included. Unlike the time on the wall it does not count
 * what other programs do meanwhile.
 */
export function busyTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
