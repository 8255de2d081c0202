/**
 * Starts a real Chromium, and makes the certificate of the sites that it visits.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import {
  type Browser,
  type BrowserContext,
  chromium,
  type LaunchOptions,
} from "playwright-core";

export type { Browser, BrowserContext, Cookie, Page } from "playwright-core";

const PLACES = (process.env["PATH"] ?? "").split(delimiter);

function find(...names: string[]): string | undefined {
  return names.flatMap((name) => PLACES.map((place) => join(place, name)))
    .find(existsSync);
}

const binary = find("chromium", "chromium-browser", "google-chrome");
const openssl = find("openssl");

/** Why it is not started, or `undefined` if it can be. */
export const missing: string | undefined = binary === undefined
  ? "Chromium is not installed"
  : openssl === undefined
  ? "openssl is not installed"
  // What they ask of the server, other tests ask on both runtimes.
  : "Bun" in globalThis
  ? "they test the browser, and run on Deno"
  : undefined;

/** A certificate that is good for all hosts of `.test`, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** What Chromium has to know to trust it: the digest of its public key. */
  readonly digest: string;
}

/** Makes a certificate that nobody has signed but itself. */
export function makeCertificate(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "certificate-"));
  const [key, cert] = [join(folder, "key"), join(folder, "cert")];
  // deno-fmt-ignore
  ssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
    "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
    "subjectAltName=DNS:*.test", "-keyout", key, "-out", cert);
  const publicKey = ssl("x509", "-in", cert, "-pubkey", "-noout");
  const der = ssl("pkey", "-pubin", "-outform", "der", { input: publicKey });
  const digest = ssl("dgst", "-sha256", "-binary", { input: der });
  const made = {
    key: readFileSync(key, "utf8"),
    cert: readFileSync(cert, "utf8"),
    digest: digest.toString("base64"),
  };
  rmSync(folder, { recursive: true });
  return made;
}

type SslInput = { readonly input: Uint8Array };

function ssl(...args: (string | SslInput)[]) {
  const last = args.at(-1);
  const input = typeof last === "object" ? last : {};
  const names = args.filter((arg) => typeof arg === "string");
  return execFileSync(openssl as string, names, { ...input, stdio: "pipe" });
}

/** How a browser is started. */
export interface ChromiumOptions {
  /** Of the sites under `.test`, all of which are on this machine. */
  readonly certificate?: Certificate;
  /** Features that are off by themselves. */
  readonly features?: readonly string[];
}

/** Starts a browser whose contexts forget everything when it ends. */
export async function startChromium(
  options: ChromiumOptions = {},
): Promise<Browser> {
  return await chromium.launch(launchOptions(options));
}

/** Starts a browser that keeps what it has in a folder. */
export async function startProfile(
  folder: string,
  options: ChromiumOptions = {},
): Promise<BrowserContext> {
  return await chromium.launchPersistentContext(folder, launchOptions(options));
}

function launchOptions(
  { certificate, features = [] }: ChromiumOptions,
): LaunchOptions {
  const args = [
    "--no-sandbox",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    // A process for each site and page would take most of the time.
    "--disable-site-isolation-trials",
    "--renderer-process-limit=1",
  ];
  if (certificate !== undefined) {
    args.push(
      `--ignore-certificate-errors-spki-list=${certificate.digest}`,
    );
  }
  if (features.length > 0) args.push(`--enable-features=${features.join(",")}`);
  return { executablePath: binary as string, args };
}
