/**
 * Providers that guard, end, collect or list sessions as real ones have done
 * wrong.
 *
 * @module
 */
import type { Awaitable } from "../core/provider.ts";
import { guardFailure, untilText } from "../core/store/record.ts";
import type { MakeProvider } from "../providers/conformance.ts";
import { comparing, type Faults, faulty, unguarded } from "./_faulty.ts";
import type { ModelProvider } from "./_model_provider.ts";

/** Faults in what a guard holds back. */
export const GUARDS: Faults = {
  ...unguarded("family", "a guard by family survives renewals and no sign-in"),
  ...unguarded("principal", "gone or conflicts as the part that differs says"),
  ...unguarded("token", "of many renewals of one token exactly one is done"),
  ...unguarded("version", "of many updates from one version exactly one"),
  ...unguarded("binding", "gone or conflicts as the part that differs says"),
  "accepts the family of before a sign-in while it is in grace": [
    "a guard by family survives renewals and no sign-in",
    faulty((provider) => ({
      update(id, change, guard, now) {
        const { previous } = provider.read(id, now) ?? {};
        const isGrace = previous !== undefined && previous.until !== "never" &&
          previous.family === guard.family;
        const { family: _, ...rest } = guard;
        return provider.update(id, change, isGrace ? rest : guard, now);
      },
    })),
  ],
  "guards data by the secret instead of the family": [
    "a guard by family survives renewals and no sign-in",
    faulty((provider) => ({
      update(id, change, guard, now) {
        const record = provider.read(id, now);
        const isFirst = record?.previous === undefined;
        const isRenewal = change.secretHash !== undefined;
        const isPassed = isFirst || isRenewal || guard.family === undefined;
        return isPassed ? provider.update(id, change, guard, now) : "gone";
      },
    })),
  ],
  "guards a renewal by the version that was read": [
    "none can starve a renewal",
    faulty((provider) => {
      const versions = new Map<string, number>();
      return {
        read(id, now) {
          const record = provider.read(id, now);
          if (record !== undefined) versions.set(id, record.version);
          return record;
        },
        update(id, change, guard, now) {
          const version = guard.token && versions.get(id);
          const all = version === undefined ? guard : { ...guard, version };
          return provider.update(id, change, all, now);
        },
      };
    }),
  ],
  "compares until as a number": [
    "a guard by token tells every state of the secret before",
    comparing((until) => String(Number(until))),
  ],
  "compares until to the second": [
    "a guard by token tells every state of the secret before",
    comparing((until) =>
      typeof until === "number"
        ? String(Math.floor(until / 1000))
        : untilText(until)
    ),
  ],
  "compares until with its clock": [
    "no guard compares an instant with a clock",
    faulty((provider) => ({
      update(id, change, guard, now) {
        const until = guard.token?.until;
        if (typeof until === "number" && until < now) return "conflict";
        return provider.update(id, change, guard, now);
      },
    })),
  ],
  "answers a conflict where the session is gone": [
    "an update is gone rather than in conflict",
    faulty((provider) => ({
      update(id, change, guard, now) {
        const { version = guard.version } = provider.read(id, now) ?? {};
        return guard.version === version
          ? provider.update(id, change, guard, now)
          : "conflict";
      },
    })),
  ],
  "takes a binding of null for none given": [
    "gone or conflicts as the part that differs says",
    faulty((provider) => ({
      update: (id, change, { binding, ...guard }, now) =>
        provider.update(
          id,
          change,
          { ...guard, binding: binding ?? undefined },
          now,
        ),
    })),
  ],
  "takes an empty binding for none": [
    "bindings of any characters are kept",
    faulty((provider) => ({
      create: (id, record, now) =>
        provider.create(
          id,
          { ...record, binding: record.binding || undefined },
          now,
        ),
    })),
  ],
};

/** Faults in how a session ends. */
export const ENDS: Faults = {
  "destroys nothing": [
    "destroy ends a session for good",
    faulty((provider) => ({
      destroy: (id, _guard, now) =>
        provider.read(id, now) === undefined ? "absent" : "done",
    })),
  ],
  "ignores the guard of a destroy": [
    "destroy by the family of before a sign-in is refused",
    faulty((provider) => ({
      destroy: (id, _guard, now) => provider.destroy(id, {}, now),
    })),
  ],
  "looks only at the family when it destroys": [
    "destroy by principal is refused after the session changed hands",
    faulty((provider) => ({
      destroy: (id, { family }, now) => provider.destroy(id, { family }, now),
    })),
  ],
  "removes what it refuses": [
    "destroy never removes or changes what it refuses",
    faulty((provider) => ({
      destroy(id, guard, now) {
        const result = provider.destroy(id, guard, now);
        provider.records.delete(id);
        return result;
      },
    })),
  ],
  "marks what it is asked to destroy before it looks": [
    "destroy never removes or changes what it refuses",
    faulty((provider) => ({
      destroy(id, guard, now) {
        provider.update(id, {}, {}, now);
        return provider.destroy(id, guard, now);
      },
    })),
  ],
  "destroys in two steps": [
    "of a sign-in and an end by the old family one takes effect",
    faulty((provider) => ({
      async destroy(id, guard, now) {
        const record = provider.read(id, now);
        if (record === undefined) return "absent";
        const { family, principal } = guard;
        if (family !== undefined && family !== record.family) return "refused";
        if (principal !== undefined && principal !== record.principal) {
          return "refused";
        }
        await Promise.resolve();
        return provider.destroy(id, {}, now);
      },
    })),
  ],
  "refuses to destroy what has expired": [
    "destroy answers absent past the deadline",
    faulty((provider) => ({
      destroy: (id, guard, now) =>
        provider.records.has(id) && provider.read(id, now) === undefined
          ? "refused"
          : provider.destroy(id, guard, now),
    })),
  ],
  "says done of what was destroyed already": [
    "destroy may be repeated",
    faulty((provider) => ({
      destroy(id, guard, now) {
        const result = provider.destroy(id, guard, now);
        return result === "absent" ? "done" : result;
      },
    })),
  ],
  "collects live sessions": [
    "gc goes by the record alone",
    faulty((provider) => ({ gc: (now, limit) => provider.gc(now + 2, limit) })),
  ],
  "collects a quarter of a millisecond early": [
    "gc goes by the record alone",
    faulty((provider) => ({
      gc: (now, limit) => provider.gc(Math.ceil(now), limit),
    })),
  ],
  "collects nothing that a principal has": [
    "gc removes nothing that is live and all that is idle",
    faulty((provider) => ({
      gc(now, limit) {
        const kept = [...provider.records].filter(([, { principal }]) =>
          principal !== undefined
        );
        const before = provider.gc(now, limit);
        const lost = kept.filter(([id]) => !provider.records.has(id));
        for (const [id, record] of lost) provider.records.set(id, record);
        return before - lost.length;
      },
    })),
  ],
  "collects more than its limit": [
    "gc removes at most its limit",
    faulty((provider) => ({ gc: (now, limit) => provider.gc(now, limit * 2) })),
  ],
};

/** Faults in how many sessions end at once. */
export const MANY: Faults = {
  "destroys none of many": [
    "destroyMany ends the sessions that it names",
    many((provider, ids, _guard, now) =>
      ids.filter((id) => provider.read(id, now) !== undefined)
    ),
  ],
  "destroys every session when it is to end many": [
    "destroyMany ends the sessions that it names and no others",
    many((provider, ids, guard, now) => {
      const ended = provider.destroyMany(ids, guard, now);
      provider.clear();
      return ended;
    }),
  ],
  "answers ids that no session has": [
    "destroyMany answers nothing of ids that no session has",
    many((provider, ids, guard, now) => {
      provider.destroyMany(ids, guard, now);
      return [...new Set(ids)].filter((id) => !provider.records.has(id));
    }),
  ],
  "answers an id as often as it is given": [
    "destroyMany answers an id once",
    many((provider, ids, guard, now) => {
      const ended = provider.destroyMany(ids, guard, now);
      return ids.filter((id) => ended.includes(id));
    }),
  ],
  "ignores the guard when it ends many": [
    "destroyMany changes nothing about what it refuses",
    many((provider, ids, _guard, now) => provider.destroyMany(ids, {}, now)),
  ],
  "looks only at the principal when it ends many": [
    "destroyMany changes nothing about what it refuses",
    many((provider, ids, { principal }, now) =>
      provider.destroyMany(ids, { principal }, now)
    ),
  ],
  "ends none of many if it refuses one": [
    "destroyMany changes nothing about what it refuses, and ends the rest",
    many((provider, ids, guard, now) => {
      const mets = ids.filter((id) => {
        const record = provider.read(id, now);
        return record === undefined ||
          guardFailure(record, guard) === undefined;
      });
      return mets.length === ids.length
        ? provider.destroyMany(ids, guard, now)
        : [];
    }),
  ],
  "takes no binding for none given when it ends many": [
    "destroyMany ends each session that its guard holds for",
    many((provider, ids, { binding, ...guard }, now) =>
      binding === null ? [] : provider.destroyMany(ids, guard, now)
    ),
  ],
  "answers what had expired among many": [
    "destroyMany answers nothing of what has expired",
    many((provider, ids, guard, now) => {
      const held = ids.filter((id) => provider.records.has(id));
      const ended = provider.destroyMany(ids, guard, now);
      const isOver = (id: string) => !provider.records.has(id);
      return [...new Set([...ended, ...held.filter(isOver)])];
    }),
  ],
  "ends the first thousand of many": [
    "destroyMany takes any number of ids",
    many((provider, ids, guard, now) =>
      provider.destroyMany(ids.slice(0, 1000), guard, now)
    ),
  ],
  "looks at many before it ends the first": [
    "of many ends of one session exactly one is told of it",
    many(async (provider, ids, guard, now) => {
      const live = [...new Set(ids)].filter((id) => {
        const record = provider.read(id, now);
        return record !== undefined &&
          guardFailure(record, guard) === undefined;
      });
      await Promise.resolve();
      provider.destroyMany(ids, guard, now);
      return live;
    }),
  ],
};

/** A provider that ends many sessions in a way of its own. */
function many(
  destroyMany: (
    provider: ModelProvider,
    ...args: Parameters<ModelProvider["destroyMany"]>
  ) => Awaitable<readonly string[]>,
): MakeProvider {
  return faulty((provider) => ({
    destroyMany: (ids, guard, now) => destroyMany(provider, ids, guard, now),
  }));
}

/** Faults in what is known of a principal. */
export const LISTS: Faults = {
  "lists expired sessions": [
    "list leaves out what has expired",
    faulty((provider) => ({
      list: (principal) => ({
        sessions: [...provider.records].flatMap(([id, record]) =>
          record.principal === principal ? [{ id, ...record }] : []
        ),
        unreadable: [],
      }),
    })),
  ],
  "lists everybody's sessions": [
    "list names the sessions of one principal",
    faulty((provider) => ({
      list(principal, now) {
        const { sessions } = provider.list(principal, now);
        const bobs = provider.list("bob", now).sessions;
        return { sessions: [...sessions, ...bobs], unreadable: [] };
      },
    })),
  ],
  "lists whole records with their data": [
    "list names the sessions of one principal with their summaries",
    faulty((provider) => ({
      list(principal, now) {
        const { sessions, ...rest } = provider.list(principal, now);
        const records = sessions.map(({ id }) => {
          return { ...provider.records.get(id)!, id };
        });
        return { ...rest, sessions: records };
      },
    })),
  ],
  "lists sessions as they were created": [
    "a list follows renewals, touches and writes",
    faulty((provider) => ({
      list(principal, now) {
        const { sessions, ...rest } = provider.list(principal, now);
        return {
          ...rest,
          sessions: sessions.map((summary) => ({
            ...summary,
            accessedAt: summary.createdAt,
          })),
        };
      },
    })),
  ],
  "calls every session of a list unreadable": [
    "list names the sessions of one principal",
    faulty((provider) => ({
      list(principal, now) {
        const { sessions } = provider.list(principal, now);
        return { sessions: [], unreadable: sessions.map(({ id }) => id) };
      },
    })),
  ],
  "forgets whom to spare": [
    "destroyAll spares the session that it is told to",
    faulty((provider) => ({
      destroyAll: (principal) => provider.destroyAll(principal),
    })),
  ],
  "spares what a wrong clock has dated from destroyAll": [
    "list leaves out what a clock set ahead has dated",
    faulty((provider) => ({
      destroyAll(principal, except) {
        const ahead = [...provider.records].filter(([, { createdAt }]) =>
          createdAt > Date.now() + 1e9
        );
        const count = provider.destroyAll(principal, except);
        for (const [id, record] of ahead) provider.records.set(id, record);
        return count;
      },
    })),
  ],
};
