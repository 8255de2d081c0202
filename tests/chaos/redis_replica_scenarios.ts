/** What can happen to a Redis that has replicas. */
import { setTimeout as sleep } from "node:timers/promises";
import { missingRedis, type RedisServer } from "../_redis_server.ts";
import {
  isInShortRun,
  missingClient,
  openRedis,
  type RedisAddress,
  type RedisClientName,
  type Settings,
} from "./clients.ts";
import { ReplicatedCluster, SentinelGroup } from "./redis_servers.ts";
import { RECOVERY, ROLLED_BACK, type Scenario } from "./scenario.ts";

/** On a master with a replica and three sentinels. */
function onSentinels(
  { args = [], settings, clients = ["ioredis", "node-redis"], ...scenario }:
    & Omit<Scenario, "store" | "play">
    & {
      readonly args?: readonly string[];
      readonly settings?: Settings;
      readonly clients?: readonly RedisClientName[];
      readonly trouble: (group: SentinelGroup) => Promise<void>;
    },
): Scenario[] {
  return clients.map((client) => ({
    ...scenario,
    store: "redis with sentinels",
    client,
    isShort: isInShortRun(scenario, client, clients),
    missing: missingRedis() ?? missingClient(client),
    expects: ROLLED_BACK,
    async play(stage) {
      const group = stage.own(await SentinelGroup.start(args));
      const address: RedisAddress = { sentinels: group.ports };
      const open = () => openRedis(client, address, settings);
      await stage.begin({ open });
      await stage.trouble(() => scenario.trouble(group));
      await stage.calm(FAILOVER);
      return await stage.end();
    },
  }));
}

/** How long sentinels are given to agree, in seconds. */
const FAILOVER = 4;

/** Lets the replica fall behind by so many seconds, and kills the master. */
function lagging(seconds: number) {
  return async (group: SentinelGroup) => {
    await group.fallBehind(seconds);
    await group.master.kill();
  };
}

/** The master is taken for dead, and comes back. */
async function comeBack({ master }: SentinelGroup): Promise<void> {
  master.pause();
  await sleep(FAILOVER * 1000);
  await master.resume();
}

const WITH_REPLICA = [
  ...["--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"],
];

const SENTINELS: readonly Scenario[] = [
  ...onSentinels({
    name: "master killed, replica in step",
    isShort: true,
    trouble: ({ master }) => master.kill(),
  }),
  ...onSentinels({
    name: "master killed, replica 1 s behind",
    clients: ["ioredis"],
    trouble: lagging(1),
  }),
  ...onSentinels({
    name: "master killed, replica 5 s behind",
    clients: ["ioredis"],
    trouble: lagging(5),
  }),
  ...onSentinels({
    name: "master killed, replica 5 s behind, min-replicas-to-write 1",
    isHopeless: true,
    clients: ["ioredis"],
    args: WITH_REPLICA,
    trouble: lagging(5),
  }),
  ...onSentinels({
    name: "master stopped, replaced and back",
    trouble: comeBack,
  }),
  ...onSentinels({
    name: "master stopped, replaced and back, failoverDetector",
    clients: ["ioredis"],
    settings: { failoverDetector: true },
    trouble: comeBack,
  }),
  ...onSentinels({
    name: "master stopped, replaced and back, min-replicas-to-write 1",
    isHopeless: true,
    clients: ["ioredis"],
    args: WITH_REPLICA,
    trouble: comeBack,
  }),
];

/** On a cluster of three masters with a replica each. */
function onCluster(
  { settings, clients = ["ioredis", "node-redis"], ...scenario }:
    & Omit<Scenario, "store" | "play">
    & {
      readonly settings?: Settings;
      readonly clients?: readonly RedisClientName[];
      readonly trouble: (cluster: ReplicatedCluster) => Promise<unknown>;
    },
): Scenario[] {
  return clients.map((client) => ({
    ...scenario,
    store: "redis cluster",
    client,
    missing: missingRedis(),
    async play(stage) {
      const cluster = stage.own(await ReplicatedCluster.start());
      const address: RedisAddress = { cluster: cluster.ports };
      const open = () => openRedis(client, address, settings);
      await stage.begin({ open });
      await stage.trouble(() => scenario.trouble(cluster));
      await stage.calm(RECOVERY * stage.seconds);
      return await stage.end();
    },
  }));
}

/** Kills a master, and waits until its replica is in charge. */
async function killMaster({ masters }: ReplicatedCluster): Promise<void> {
  await masters.nodes[0]?.kill();
  await sleep(FAILOVER * 1000);
}

/** Moves the keys of the first master to the second, slot by slot. */
async function reshard({ masters }: ReplicatedCluster): Promise<void> {
  const [from, to] = masters.nodes as [RedisServer, RedisServer];
  const listed = await from.command("KEYS", "*");
  const keys = listed.split("\r\n").filter((line) => /^session:/.test(line));
  const slots = new Set<number>();
  for (const key of keys) {
    slots.add(Number(await from.command("CLUSTER", "KEYSLOT", key)));
  }
  for (const slot of slots) await masters.moveSlot(slot, { from, to });
}

const CLUSTERS: readonly Scenario[] = [
  ...onCluster({
    name: "a master killed",
    clients: ["ioredis"],
    expects: ROLLED_BACK,
    trouble: killMaster,
  }),
  ...onCluster({
    name: "a master killed",
    isHopeless: true,
    clients: ["node-redis"],
    expects: ROLLED_BACK,
    trouble: killMaster,
  }),
  ...onCluster({
    name: "a master killed, disableOfflineQueue",
    isHopeless: true,
    clients: ["node-redis"],
    settings: { disableOfflineQueue: true },
    expects: ROLLED_BACK,
    trouble: killMaster,
  }),
  ...onCluster({ name: "slots moved", trouble: reshard }),
];

/** All scenarios of a Redis with replicas. */
export const REDIS_REPLICA_SCENARIOS: readonly Scenario[] = [
  ...SENTINELS,
  ...CLUSTERS,
];
