/**
 * The clients of MariaDB that this runtime has, as applications open them.
 *
 * @module
 */
import * as mariadb from "mariadb";
import mysql from "mysql2/promise";
import type { MysqlClient } from "../providers/mysql.ts";

interface BuiltIn {
  readonly SQL: new (url: string, options: { max: number }) => BuiltInClient;
}

interface BuiltInClient {
  unsafe(
    text: string,
    params: unknown[],
  ): { values(): Promise<unknown[]> };
  close(options: { timeout: number }): Promise<void>;
}

const { Bun } = globalThis as { readonly Bun?: BuiltIn };

const closers: (() => Promise<unknown>)[] = [];

/** Opens a pool, of 10 connections at most unless another number is told. */
export type Connect = (url: string, max?: number) => MysqlClient;

/** Each client by its name. */
export const connects: Readonly<Record<string, Connect>> = {
  mysql2: connectMysql2,
  mariadb: connectMariadb,
  ...(Bun === undefined ? {} : { "Bun.SQL": connectBuiltIn }),
};

/** The one that has more than a provider asks for. */
export function connectMysql2(url: string, max = 10): mysql.Pool {
  const pool = mysql.createPool({ uri: url, connectionLimit: max });
  closers.push(() => pool.end());
  return pool;
}

function connectMariadb(url: string, max = 10): MysqlClient {
  const { hostname, port, username, pathname } = new URL(url);
  const pool = mariadb.createPool({
    host: hostname,
    port: Number(port),
    user: username,
    database: pathname.slice(1),
    connectionLimit: max,
  });
  closers.push(() => pool.end());
  return pool;
}

function connectBuiltIn(url: string, max = 10): MysqlClient {
  const sql = new (Bun as BuiltIn).SQL(url, { max });
  closers.push(() => sql.close({ timeout: 0 }));
  return sql;
}

/** Has a client closed with the others. */
export function closeLater(close: () => Promise<unknown>): void {
  closers.push(close);
}

/** Closes all that were opened. */
export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0)) await close();
}
