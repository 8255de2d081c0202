/** A disk that is soon full. */
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder, removeFolder } from "./daemon.ts";

/** What is missing for a disk of a megabyte, or `undefined`. */
export function missingTinyDisk(): string | undefined {
  const folder = makeFolder("disk");
  try {
    const { status } = mount(folder, 1);
    if (status !== 0) return "only root can mount a file system";
    spawnSync("umount", [folder]);
    return undefined;
  } finally {
    removeFolder(folder);
  }
}

/** A disk of its own that is soon full. */
export class TinyDisk {
  readonly folder = makeFolder("disk");

  /** @param megabytes Its size. */
  constructor(megabytes: number) {
    const { status, stderr } = mount(this.folder, megabytes);
    if (status !== 0) throw new Error(`Cannot mount a disk: ${stderr}`);
  }

  /** Leaves no room on it. */
  fill(): void {
    const block = new Uint8Array(65_536);
    for (let size = block.length; size >= 1; size = Math.floor(size / 16)) {
      this.#fillWith(block.subarray(0, size));
    }
  }

  /** Leaves the room that there was. */
  clear(): void {
    rmSync(join(this.folder, "rest"), { force: true });
  }

  stop(): void {
    spawnSync("umount", ["--lazy", this.folder]);
    removeFolder(this.folder);
  }

  #fillWith(block: Uint8Array): void {
    try {
      for (;;) writeFileSync(join(this.folder, "rest"), block, { flag: "a" });
    } catch (error) {
      const { code } = error as { readonly code?: string };
      if (code !== "ENOSPC") throw error;
    }
  }
}

function mount(folder: string, megabytes: number) {
  const size = ["-o", `size=${megabytes}m`];
  return spawnSync("mount", ["-t", "tmpfs", ...size, "tmpfs", folder], {
    encoding: "utf8",
  });
}
