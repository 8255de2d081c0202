/** Measures what a change does to the size of a session. */
import type { SessionChange } from "../../core/provider.ts";
import { entrySize } from "../../core/value/size.ts";
import {
  EMPTY_DATA,
  type StoredData,
  type StoredValue,
} from "../../core/value/types.ts";

/** By how many bytes a change makes the data longer; negative if shorter. */
export function growthOf(data: StoredData, change: SessionChange): number {
  const { set = EMPTY_DATA, delete: removed = [] } = change;
  let growth = 0;
  for (const key of Object.keys(set)) {
    growth += storedSize(set, key) - storedSize(data, key);
  }
  if (removed.length === 0) return growth;
  for (const key of new Set(removed)) growth -= storedSize(data, key);
  return growth;
}

function storedSize(data: StoredData, key: string): number {
  const value: StoredValue | undefined = data[key];
  return value === undefined ? 0 : entrySize(key, value);
}
