/** What can happen to MariaDB. */
import { setTimeout as sleep } from "node:timers/promises";
import { MariaServer, missing } from "../_mariadb_server.ts";
import type { OpenStore } from "../_stores.ts";
import {
  isInShortRun,
  missingClient,
  type MysqlClientName,
  openMysql,
  type Settings,
} from "./clients.ts";
import { holdUp, IMPATIENCE, Proxy } from "./proxy.ts";
import { LONG, RECOVERY, type Scenario } from "./scenario.ts";
import type { Report, Stage } from "./stage.ts";

const CLIENTS: readonly MysqlClientName[] = ["mysql2", "mariadb", "Bun.SQL"];

interface Rig {
  readonly server: MariaServer;
  readonly proxy: Proxy;
  readonly open: () => OpenStore;
}

/** On one server, a scenario for each client. */
function onServer(
  { settings, clients = CLIENTS, ...scenario }:
    & Omit<Scenario, "store" | "play">
    & {
      readonly settings?: Settings;
      readonly clients?: readonly MysqlClientName[];
      readonly play: (stage: Stage, rig: Rig) => Promise<Report>;
    },
): Scenario[] {
  return clients.map((client) => ({
    ...scenario,
    store: "mariadb",
    client,
    isShort: isInShortRun(scenario, client, clients),
    missing: missing ?? missingClient(client),
    async play(stage) {
      const server = stage.own(await MariaServer.start());
      const proxy = stage.own(await Proxy.start(server.port, stage.random));
      const open = () => openMysql(client, proxy.port, settings);
      return await scenario.play(stage, { server, proxy, open });
    },
  }));
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

/** All scenarios of MariaDB. */
export const MYSQL_SCENARIOS: readonly Scenario[] = [
  ...onServer({
    name: "killed",
    isShort: true,
    tells: ["store-down"],
    async play(stage, { server, open }) {
      await stage.begin({ open });
      await stage.trouble(async () => {
        await server.kill();
        await sleep(300);
        await server.start();
      });
      await stage.calm(3);
      return await stage.end();
    },
  }),
  ...onServer({
    name: "stopped and going on",
    tells: ["store-down"],
    async play(stage, { server, open }) {
      await stage.begin({ open });
      await stage.trouble(async () => {
        server.pause();
        await sleep(LONG);
        server.resume();
      });
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "what was given up arrives late",
    isShort: true,
    tells: ["store-down"],
    async play(stage, { proxy, open }) {
      await stage.begin({ open, options: { timeout: IMPATIENCE }, pause: 5 });
      await stage.trouble(() => holdUp(proxy, stage.seconds));
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "read-only",
    isShort: true,
    tells: ["store-error"],
    async play(stage, { server, open }) {
      await stage.begin({ open });
      await stage.trouble(async () => {
        server.run("SET GLOBAL read_only = 1");
        await stage.calm();
        server.run("SET GLOBAL read_only = 0");
      }, ["look"]);
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "3 % of answers cut",
    isShort: true,
    async play(stage, { proxy, open }) {
      await stage.begin({ open });
      await stage.trouble(async () => {
        proxy.cutFraction = 0.03;
        await stage.calm();
        proxy.cutFraction = 0;
      });
      await stage.calm();
      return await stage.end();
    },
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
      await stage.calm(3);
      return await stage.end();
    },
  }),
  ...onServer({
    name: "silent connections",
    clients: ["Bun.SQL"],
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections",
    isHopeless: true,
    clients: ["mysql2", "mariadb"],
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, socketTimeout",
    clients: ["mariadb"],
    settings: { socketTimeout: 500 },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, queryTimeout",
    isHopeless: true,
    clients: ["mariadb"],
    settings: { queryTimeout: 500 },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, enableKeepAlive",
    isHopeless: true,
    clients: ["mysql2"],
    settings: { enableKeepAlive: true, keepAliveInitialDelay: 500 },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, idleTimeout",
    isHopeless: true,
    clients: ["mysql2"],
    settings: { maxIdle: 1, idleTimeout: 500 },
    play: playSilence,
  }),
];
