/** Says whether an operation gave the right answer; called once by each. */
export type Answer = (isRight: boolean) => void;

/** Sessions that hold nothing yet, in one of the stores compared. */
export interface Store {
  /**
   * Stores a new session.
   *
   * @param secretHash What is kept of its secret by a store that keeps one.
   */
  create(id: string, secretHash: string, answer: Answer): void;
  /** Looks a session up, for as little as the store allows. */
  find(id: string, answer: Answer): void;
  /** Moves its deadline and makes it the most recently used. */
  touch(id: string, answer: Answer): void;
  /** What a request that only reads does: looks it up and touches it. */
  use(id: string, answer: Answer): void;
  /** Removes all that have expired, if the store can be told to. */
  collect?(): void;
  /** How many it holds. */
  size(): number;
}

/** One of the stores compared. */
export interface Contestant {
  /** How the tables call it. */
  readonly name: string;
  /** The package that it comes from, unless it is built in or ours. */
  readonly package?: string;
  /** Whether it knows deadlines at all. */
  readonly expires: boolean;
  /**
   * A new store.
   *
   * @param capacity It holds that many without evicting one.
   * @param ttl How long a session lives without a touch, in milliseconds.
   */
  open(capacity: number, ttl: number): Store;
}
