/** What can happen to Postgres. */
import { setTimeout as sleep } from "node:timers/promises";
import { missing, PostgresServer } from "../_postgres_server.ts";
import type { OpenStore } from "../_stores.ts";
import {
  isInShortRun,
  missingClient,
  openPostgres,
  type PostgresClientName,
  type PostgresSettings,
} from "./clients.ts";
import { holdUp, IMPATIENCE, Proxy } from "./proxy.ts";
import { LONG, RECOVERY, ROLLED_BACK, type Scenario } from "./scenario.ts";
import {
  missingPgBouncer,
  missingStandby,
  PgBouncer,
  setting,
  StandbyPair,
} from "./postgres_servers.ts";
import type { Report, Stage } from "./stage.ts";

const CLIENTS: readonly PostgresClientName[] = ["pg", "postgres.js", "Bun.SQL"];

interface Rig {
  readonly server: PostgresServer;
  readonly proxy: Proxy;
  readonly open: () => OpenStore;
}

/** On one server, a scenario for each client. */
function onServer(
  { settings, clients = CLIENTS, ...scenario }:
    & Omit<Scenario, "store" | "play">
    & {
      readonly settings?: PostgresSettings;
      readonly clients?: readonly PostgresClientName[];
      readonly play: (stage: Stage, rig: Rig) => Promise<Report>;
    },
): Scenario[] {
  return clients.map((client) => ({
    ...scenario,
    store: "postgres",
    client,
    isShort: isInShortRun(scenario, client, clients),
    missing: missing ?? missingClient(client),
    async play(stage) {
      const server = stage.own(await PostgresServer.start());
      const proxy = stage.own(await Proxy.start(server.port, stage.random));
      const open = () => openPostgres(client, proxy.port, settings);
      return await scenario.play(stage, { server, proxy, open });
    },
  }));
}

/** Kills a server and starts it again a moment later. */
async function restart(server: PostgresServer): Promise<void> {
  await server.kill();
  await sleep(300);
  await server.start();
}

async function playLate(stage: Stage, rig: Rig): Promise<Report> {
  const options = { timeout: IMPATIENCE };
  await stage.begin({ open: rig.open, options, pause: 5 });
  await stage.trouble(() => holdUp(rig.proxy, stage.seconds));
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
    name: "killed",
    isShort: true,
    tells: ["store-down"],
    async play(stage, { server, open }) {
      await stage.begin({ open });
      await stage.trouble(() => restart(server));
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
    play: playLate,
  }),
  ...onServer({
    name: "read-only",
    isShort: true,
    tells: ["store-error"],
    async play(stage, { server, open }) {
      await stage.begin({ open });
      await stage.trouble(async () => {
        await setting(server.port, "default_transaction_read_only", "on");
        await stage.calm();
        await writable(server);
      }, ["look"]);
      await stage.calm();
      return await stage.end();
    },
  }),
  ...onServer({
    name: "300 ms a round trip",
    clients: ["pg", "Bun.SQL"],
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
    name: "a node an hour ahead",
    isShort: true,
    clients: ["pg"],
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

/** Every statement after it can write again, this one included. */
async function writable({ port }: PostgresServer): Promise<void> {
  await setting(port, "default_transaction_read_only", "off");
}

const SILENCES: readonly Scenario[] = [
  ...onServer({
    name: "silent connections",
    clients: ["Bun.SQL"],
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections",
    isHopeless: true,
    clients: ["pg", "postgres.js"],
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, query_timeout",
    isShort: true,
    clients: ["pg"],
    settings: { client: { query_timeout: 1000 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, statement_timeout",
    isHopeless: true,
    clients: ["pg"],
    settings: { client: { statement_timeout: 1000 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, keepAlive",
    isHopeless: true,
    clients: ["pg"],
    settings: { client: { keepAlive: true, keepAliveInitialDelayMillis: 500 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, connectionTimeoutMillis",
    isHopeless: true,
    clients: ["pg"],
    settings: { client: { connectionTimeoutMillis: 1000 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, idleTimeoutMillis",
    isHopeless: true,
    clients: ["pg"],
    settings: { client: { idleTimeoutMillis: 500 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, maxLifetimeSeconds",
    isHopeless: true,
    clients: ["pg"],
    settings: { client: { maxLifetimeSeconds: 2 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, max_lifetime",
    isHopeless: true,
    clients: ["postgres.js"],
    settings: { client: { max_lifetime: 2 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, idle_timeout",
    isHopeless: true,
    clients: ["postgres.js"],
    settings: { client: { idle_timeout: 1 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, keep_alive",
    isHopeless: true,
    clients: ["postgres.js"],
    settings: { client: { keep_alive: 1 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, connect_timeout",
    isHopeless: true,
    clients: ["postgres.js"],
    settings: { client: { connect_timeout: 1 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, maxLifetime",
    isHopeless: true,
    clients: ["Bun.SQL"],
    settings: { client: { maxLifetime: 2 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, idleTimeout",
    isHopeless: true,
    clients: ["Bun.SQL"],
    settings: { client: { idleTimeout: 1 } },
    play: playSilence,
  }),
  ...onServer({
    name: "silent connections, connectionTimeout",
    isHopeless: true,
    clients: ["Bun.SQL"],
    settings: { client: { connectionTimeout: 1 } },
    play: playSilence,
  }),
];

/** Kills the server in charge and puts its standby in its place. */
function onStandby(
  { isSynchronous, held, ...scenario }:
    & Omit<Scenario, "store" | "play" | "client">
    & {
      readonly isSynchronous: boolean;
      /** For how long the standby gets nothing, in milliseconds. */
      readonly held: number;
    },
): Scenario {
  return {
    ...scenario,
    store: "postgres with a standby",
    client: "pg",
    missing: missing ?? missingStandby,
    async play(stage) {
      const pair = stage.own(await StandbyPair.start(isSynchronous));
      await stage.begin({ open: () => openPostgres("pg", pair.front.port) });
      await stage.trouble(async () => {
        if (held > 0) pair.link.hold();
        await sleep(held);
        await pair.promote();
      });
      await stage.calm(3);
      return await stage.end();
    },
  };
}

const STANDBYS: readonly Scenario[] = [
  onStandby({
    name: "promoted, asynchronous, in step",
    isSynchronous: false,
    held: 0,
    expects: ROLLED_BACK,
  }),
  onStandby({
    name: "promoted, asynchronous, 1 s behind",
    isSynchronous: false,
    held: 1000,
    expects: ROLLED_BACK,
  }),
  onStandby({
    name: "promoted, synchronous_standby_names = '*', in step",
    isSynchronous: true,
    held: 0,
  }),
  onStandby({
    name: "promoted, synchronous_standby_names = '*', 1 s behind",
    isSynchronous: true,
    held: 1000,
  }),
];

/** Behind PgBouncer in transaction mode, which comes before Postgres itself. */
function onPgBouncer(
  { options = [], settings, clients = CLIENTS, ...scenario }:
    & Omit<Scenario, "store" | "play">
    & {
      readonly options?: readonly string[];
      readonly settings?: PostgresSettings;
      readonly clients?: readonly PostgresClientName[];
      readonly play: (
        stage: Stage,
        rig: Omit<Rig, "proxy">,
      ) => Promise<Report>;
    },
): Scenario[] {
  return clients.map((client) => ({
    ...scenario,
    store: "postgres behind pgbouncer",
    client,
    missing: missing ?? missingPgBouncer ?? missingClient(client),
    async play(stage) {
      const server = stage.own(await PostgresServer.start());
      const pooler = stage.own(await PgBouncer.start(server.port, options));
      const open = () => openPostgres(client, pooler.port, settings);
      return await scenario.play(stage, { server, open });
    },
  }));
}

async function playQuiet(
  stage: Stage,
  { open }: Omit<Rig, "proxy">,
): Promise<Report> {
  await stage.begin({ open });
  await stage.calm();
  return await stage.end();
}

/** How long Postgres is away behind its pooler, in milliseconds. */
const AWAY = 3000;

async function playAway(
  stage: Stage,
  { server, open }: Omit<Rig, "proxy">,
): Promise<Report> {
  await stage.begin({ open });
  await stage.trouble(async () => {
    await server.kill();
    await sleep(AWAY);
    await server.start();
  });
  await stage.calm(18);
  return await stage.end();
}

const POOLED: readonly Scenario[] = [
  ...onPgBouncer({
    name: "nothing happens, prepare: false",
    settings: { prepare: false },
    play: playQuiet,
  }),
  ...onPgBouncer({
    name: "nothing happens, prepare: true",
    isHopeless: true,
    // What another client has prepared is run with one's own parameters.
    expects: ["signed-out", "listed"],
    play: playQuiet,
  }),
  ...onPgBouncer({
    name: "killed for 3 s, prepare: false, server_login_retry 15",
    clients: ["pg"],
    settings: { prepare: false },
    play: playAway,
  }),
  ...onPgBouncer({
    name:
      "killed for 3 s, prepare: false, server_login_retry 1, server_connect_timeout 2",
    clients: ["pg"],
    options: ["server_login_retry = 1", "server_connect_timeout = 2"],
    settings: { prepare: false },
    play: playAway,
  }),
  ...onPgBouncer({
    name: "killed for 3 s, prepare: false, server_login_retry 1",
    clients: ["pg"],
    options: ["server_login_retry = 1"],
    settings: { prepare: false },
    play: playAway,
  }),
];

/** All scenarios of Postgres. */
export const POSTGRES_SCENARIOS: readonly Scenario[] = [
  ...ALONE,
  ...SILENCES,
  ...STANDBYS,
  ...POOLED,
];
