/** Tests that no session is missed in Redis when servers change under a search. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "node:test";
import {
  clusterMark,
  serverMark,
  UNSETTLED,
} from "../providers/redis/topology.ts";
import { RedisProvider } from "../providers/redis.ts";
import { makeId, makeRecord, START } from "./_records.ts";
import { describeOnServer, useCluster, useServer } from "./_redis_rig.ts";
import type { RedisServer } from "./_redis_server.ts";

/** What makes a server write down what it acknowledges. */
const DURABLE = ["--appendonly", "yes", "--appendfsync", "always"];

const IDS = Array.from({ length: 900 }, (_, number) => makeId(number)).sort();

const VIEW = "id1 h:1@2 myself,master - 0 0 1 connected 0-16383";
const INFO = { run_id: "a1", role: "master", master_replid: "b1" };

describe("the mark of a server", () => {
  it("is the same as long as the server goes on", async () => {
    assertEquals(await markOf(INFO), await markOf({ ...INFO }));
  });

  for (
    const [what, change] of [
      ["was started anew", { run_id: "a2" }],
      ["has become a replica", { role: "slave" }],
      ["has another server's keys", { master_replid: "b2" }],
    ] as const
  ) {
    it(`is another when it ${what}, in a cluster too`, async () => {
      assertNotEquals(await markOf(INFO), await markOf({ ...INFO, ...change }));
      const marks = [INFO, { ...INFO, ...change }].map((info) =>
        clusterMark([sender(info)])
      );
      const [before, after] = await Promise.all(marks);
      assertNotEquals(before, after);
    });
  }

  it("is none while it takes over the keys of a master", async () => {
    const info = { ...INFO, master_sync_in_progress: "1" };
    assertEquals(await markOf(info), UNSETTLED);
    assertEquals(await clusterMark([sender(info)]), UNSETTLED);
  });

  it("is one although a server tells nothing", async () => {
    const refuse = () => Promise.reject(new Error("NOPERM no permission"));
    const marks = [await serverMark(refuse), await clusterMark([refuse])];
    assert(!marks.includes(UNSETTLED), String(marks));
  });
});

describeOnServer("RedisProvider and a server that starts anew", () => {
  const rig = useServer(DURABLE);

  it("finds every session, whatever order the server has them in", async () => {
    const provider = rig.make();
    await fill(provider);
    const found = await foundAround(provider, async () => {
      await rig.server.kill();
      await rig.server.resume();
    });
    assertEquals(found, IDS);
  });
});

describeOnServer("RedisProvider and a node that starts anew", () => {
  const rig = useCluster(DURABLE);

  it("finds every session, whatever order the node has them in", async () => {
    const provider = new RedisProvider(rig.ioRedis, { prefix: "anew:" });
    await fill(provider);
    const found = await foundAround(
      provider,
      () => rig.cluster.restart(firstNode()),
    );
    assertEquals(found, IDS);
  });

  /** The one that is looked through first. */
  function firstNode(): RedisServer {
    const byName = rig.cluster.nodes.toSorted((a, b) =>
      String(a.port) < String(b.port) ? -1 : 1
    );
    return byName[0] as RedisServer;
  }
});

async function fill(provider: RedisProvider): Promise<void> {
  await Promise.all(
    IDS.map((id) => provider.create(id, makeRecord(), START)),
  );
}

/** The ids that a scan finds, between whose first two pages something happens. */
async function foundAround(
  provider: RedisProvider,
  happen: () => Promise<void>,
): Promise<string[]> {
  const found = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await provider.scan(cursor, 100, START);
    for (const { id } of page.sessions) found.add(id);
    if (cursor === undefined) await happen();
    cursor = page.next;
  } while (cursor !== undefined);
  return [...found].sort();
}

function markOf(info: Readonly<Record<string, string>>): Promise<string> {
  return serverMark(sender(info));
}

/** A server that says this of itself. */
function sender(info: Readonly<Record<string, string>>) {
  const lines = Object.entries(info).map((entry) => entry.join(":"));
  return (command: string) =>
    Promise.resolve(command === "INFO" ? lines.join("\r\n") : VIEW);
}
