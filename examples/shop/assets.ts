/** The files that pages need, read once. */
import { readFileSync } from "node:fs";

const TYPES = {
  "shop.css": "text/css; charset=utf-8",
  "panel.js": "text/javascript; charset=utf-8",
  "icon.svg": "image/svg+xml",
};

const FILES = new Map(
  Object.entries(TYPES).map(([name, type]) => {
    const text = readFileSync(new URL(`./assets/${name}`, import.meta.url));
    return [`/${name}`, { type, text }];
  }),
);

/** The file that a request asks for; no session is looked up for it. */
export function assetOf({ method, url }: Request): Response | undefined {
  const file = FILES.get(new URL(url).pathname);
  if (file === undefined || method !== "GET") return undefined;
  return new Response(file.text, {
    headers: {
      "content-type": file.type,
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
    },
  });
}
