/** What can happen to Redis. */
import { setTimeout as sleep } from "node:timers/promises";
import { missingRedis, RedisServer } from "../_redis_server.ts";
import {
  isInShortRun,
  missingClient,
  openRedis,
  type RedisClientName,
  type Settings,
} from "./clients.ts";
import type { ViolationKind } from "./history.ts";
import { holdUp, IMPATIENCE, Proxy } from "./proxy.ts";
import { LONG, RECOVERY, ROLLED_BACK, type Scenario } from "./scenario.ts";
import type { Report, Stage } from "./stage.ts";

const CLIENTS: readonly RedisClientName[] = [
  "ioredis",
  "node-redis",
  "Bun.RedisClient",
];

/** What a server that begins with nothing brings about. */
const EMPTIED: readonly ViolationKind[] = ["lost", "signed-out"];

/**
 * What a client brings about that takes the answer to one command for that to
 * another, as node-redis 5.12.1 can after a connection has ended while it began.
 */
const CONFUSED: readonly ViolationKind[] = [
  "lost",
  "twice",
  "late",
  "undone",
  "revived",
  "signed-out",
  "listed",
];

/** On one server, a scenario for each client. */
function onServer(
  { args = [], settings, clients = CLIENTS, ...scenario }:
    & Omit<Scenario, "store" | "play">
    & {
      readonly args?: readonly string[];
      readonly settings?: Settings;
      readonly clients?: readonly RedisClientName[];
      readonly play: (stage: Stage, rig: Rig) => Promise<Report>;
    },
): Scenario[] {
  return clients.map((client) => ({
    ...scenario,
    store: "redis",
    client,
    isShort: isInShortRun(scenario, client, clients),
    missing: missingRedis() ?? missingClient(client),
    async play(stage) {
      const server = stage.own(await RedisServer.start(args));
      const proxy = stage.own(await Proxy.start(server.port, stage.random));
      const open = () => openRedis(client, { port: proxy.port }, settings);
      return await scenario.play(stage, { server, proxy, open });
    },
  }));
}

interface Rig {
  readonly server: RedisServer;
  readonly proxy: Proxy;
  readonly open: () => ReturnType<typeof openRedis>;
}

/** Kills a server and starts it again a moment later. */
async function restart(server: RedisServer): Promise<void> {
  await server.kill();
  await sleep(300);
  await server.resume();
}

async function playRestart(
  stage: Stage,
  { server, open }: Rig,
): Promise<Report> {
  await stage.begin({ open });
  await stage.trouble(() => restart(server));
  await stage.calm();
  return await stage.end();
}

async function playLate(stage: Stage, rig: Rig): Promise<Report> {
  const options = { timeout: IMPATIENCE };
  await stage.begin({ open: rig.open, options, pause: 5 });
  await stage.trouble(() => holdUp(rig.proxy, stage.seconds));
  await stage.calm();
  return await stage.end();
}

async function playCuts(stage: Stage, { proxy, open }: Rig): Promise<Report> {
  await stage.begin({ open });
  await stage.trouble(async () => {
    proxy.cutFraction = 0.03;
    await stage.calm();
    proxy.cutFraction = 0;
  });
  await stage.calm();
  return await stage.end();
}

async function playSilence(
  stage: Stage,
  { proxy, open }: Rig,
): Promise<Report> {
  await stage.begin({ open });
  await stage.trouble(() => Promise.resolve(proxy.silence()));
  await stage.calm(RECOVERY * stage.seconds);
  return await stage.end();
}

const ALONE: readonly Scenario[] = [
  ...onServer({
    name: "killed, appendonly yes",
    isShort: true,
    args: ["--appendonly", "yes"],
    play: playRestart,
  }),
  ...onServer({
    name: "killed, appendfsync always",
    args: ["--appendonly", "yes", "--appendfsync", "always"],
    clients: ["ioredis"],
    play: playRestart,
  }),
  ...onServer({
    name: "killed, nothing on disk",
    clients: ["ioredis"],
    expects: EMPTIED,
    play: playRestart,
  }),
  ...onServer({
    name: "killed, a snapshot on disk",
    clients: ["ioredis"],
    expects: ROLLED_BACK,
    async play(stage, { server, open }) {
      await stage.begin({ open });
      await server.command("SAVE");
      await stage.calm();
      await stage.trouble(() => restart(server));
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "stopped and going on",
    isShort: true,
    tells: ["store-down"],
    async play(stage, { server, open }) {
      await stage.begin({ open });
      await stage.trouble(async () => {
        server.pause();
        await sleep(LONG);
        await server.resume();
      });
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "what was given up arrives late",
    isShort: true,
    tells: ["store-down"],
    play: playLate,
  }),
  ...onServer({
    name: "full, noeviction",
    isShort: true,
    tells: ["store-error"],
    async play(stage, { server, open }) {
      await stage.begin({ open });
      await stage.trouble(async () => {
        await server.command("CONFIG", "SET", "maxmemory", 1);
        await stage.calm();
        await server.command("CONFIG", "SET", "maxmemory", 0);
      }, ["look", "sign-out", "sign-out-everywhere"]);
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "full, allkeys-lru",
    args: ["--maxmemory-policy", "allkeys-lru"],
    clients: ["ioredis"],
    expects: [...EMPTIED, "unlisted"],
    async play(stage, { server, open }) {
      await stage.begin({ open });
      const memory = await server.command("INFO", "memory");
      const used = Number(/used_memory:(\d+)/.exec(memory)?.[1]);
      await stage.trouble(async () => {
        await server.command("CONFIG", "SET", "maxmemory", used - 50_000);
        await stage.calm();
        await server.command("CONFIG", "SET", "maxmemory", 0);
      });
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "read-only",
    clients: ["ioredis"],
    tells: ["store-error"],
    async play(stage, { server, open }) {
      const nowhere = await Proxy.start(server.port);
      const { port } = nowhere;
      await nowhere.stop();
      await stage.begin({ open });
      await stage.trouble(async () => {
        await server.command("REPLICAOF", "127.0.0.1", port);
        await stage.calm();
        await server.command("REPLICAOF", "NO", "ONE");
      }, ["look"]);
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "300 ms a round trip",
    async play(stage, { proxy, open }) {
      proxy.delay = 150;
      // Some calls make several round trips, to connect among others.
      await stage.begin({ open, options: { timeout: 3 }, users: 2 });
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "3 % of answers cut",
    isShort: true,
    clients: ["ioredis", "Bun.RedisClient"],
    play: playCuts,
  }),
  ...onServer({
    name: "3 % of answers cut",
    clients: ["node-redis"],
    expects: CONFUSED,
    isHopeless: true,
    play: playCuts,
  }),
  ...onServer({
    name: "connections refused",
    async play(stage, { proxy, open }) {
      await stage.begin({ open });
      await stage.trouble(async () => {
        proxy.isRefusing = true;
        proxy.cut();
        await sleep(LONG);
        proxy.isRefusing = false;
      });
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "a node an hour ahead",
    isShort: true,
    clients: ["ioredis", "node-redis"],
    tells: ["clock-skew"],
    async play(stage, { open }) {
      await stage.begin({
        open,
        clocks: [0, 150, 3_600_000],
        options: { idleTimeout: 1800 },
      });
      await stage.calm();
      return await stage.end({ ahead: ["node 3"] });
    },
  }),
];

/** Connections that fall silent, by what a client is told about it. */
const SILENCES: readonly Scenario[] = [
  ...onServer({
    name: "silent connections",
    clients: ["Bun.RedisClient"],
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections",
    isHopeless: true,
    clients: ["ioredis", "node-redis"],
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, socketTimeout",
    isShort: true,
    clients: ["ioredis"],
    settings: { socketTimeout: 1000 },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, keepAlive",
    isHopeless: true,
    clients: ["ioredis"],
    settings: { keepAlive: 1000 },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, connectTimeout",
    isHopeless: true,
    clients: ["ioredis"],
    settings: { connectTimeout: 1000 },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, commandTimeout",
    isHopeless: true,
    clients: ["ioredis"],
    settings: { commandTimeout: 1000 },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, socketTimeout 1000",
    expects: CONFUSED,
    isHopeless: true,
    clients: ["node-redis"],
    settings: { socket: { socketTimeout: 1000 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, socketTimeout 500",
    expects: CONFUSED,
    clients: ["node-redis"],
    settings: { socket: { socketTimeout: 500 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, pingInterval",
    isHopeless: true,
    clients: ["node-redis"],
    settings: { pingInterval: 500 },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, pingInterval 250, socketTimeout 500",
    expects: CONFUSED,
    isHopeless: true,
    clients: ["node-redis"],
    settings: { pingInterval: 250, socket: { socketTimeout: 500 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, keepAlive",
    isHopeless: true,
    clients: ["node-redis"],
    settings: { socket: { keepAlive: true, keepAliveInitialDelay: 1000 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, connectTimeout",
    isHopeless: true,
    clients: ["node-redis"],
    settings: { socket: { connectTimeout: 1000 } },
    play: playSilence,
  }),
];

/** All scenarios of one Redis. */
export const REDIS_SCENARIOS: readonly Scenario[] = [
  ...ALONE,
  ...SILENCES,
];
