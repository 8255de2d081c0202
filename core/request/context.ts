/** What all requests of one manager share. */
import type { SessionEvent } from "../events.ts";
import type { Settings } from "../options.ts";
import type { Gateway } from "../store/gateway.ts";

export interface Context {
  readonly settings: Settings;
  readonly gateway: Gateway;
  /** Publishes an event. */
  readonly tell: (event: SessionEvent) => void;
}
