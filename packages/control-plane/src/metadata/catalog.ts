import { CorruptionError, type TimelineId } from '@zenith/base';
import * as v from 'valibot';
import { ControlPlaneError } from '../errors.ts';
import { DEFAULT_HISTORY, type HistoryPolicy } from '../history/history-policy.ts';
import type { ProcessIdentity } from '@zenith/service';
import { changeWrites, endpointEntry, type BranchesChange, type BranchesView } from './branches-change.ts';
import type { MetadataEntry, MetadataStore } from './metadata-store.ts';
import {
  branchSchema,
  endpointSchema,
  historySchema,
  pageserverSchema,
  safekeepersSchema,
  timelineSchema,
  unfinishedSchema,
  type BranchRecord,
  type EndpointRecord,
  type SafekeepersRecord,
  type TimelineRecord,
  type UnfinishedTimeline,
} from './records.ts';

/** How often a change of branches is tried again: each time somebody else's was made. */
const CHANGE_TRIES_MAX = 1000;

/** Its revision is that of the newest change of branches. */
const CHANGES_KEY = 'branches';

/** How often an update is tried again after somebody else changed the same entry. */
const UPDATE_TRIES_MAX = 16;

const SAFEKEEPERS_KEY = 'safekeepers';

function parse<Schema extends v.GenericSchema>(schema: Schema, entry: MetadataEntry): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, entry.value);
  if (parsed.success) return parsed.output;
  throw new CorruptionError(
    `metadata of '${entry.key}': ${v.getDotPath(parsed.issues[0]) ?? 'value'}: ${parsed.issues[0].message}`,
  );
}

function toTimeline(entry: MetadataEntry): TimelineRecord {
  const { ancestor, ...rest } = parse(timelineSchema, entry);
  return { id: entry.key.slice('timeline/'.length) as TimelineId, ancestor: ancestor ?? undefined, ...rest };
}

function toBranch(entry: MetadataEntry): BranchRecord {
  return { name: entry.key.slice('branch/'.length), ...parse(branchSchema, entry) };
}

function toEndpoint(entry: MetadataEntry): EndpointRecord {
  return { name: entry.key.slice('endpoint/'.length), ...parse(endpointSchema, entry) };
}

function toUnfinished(entry: MetadataEntry): UnfinishedTimeline {
  const { maker } = parse(unfinishedSchema, entry);
  return { id: entry.key.slice('unfinished/'.length) as TimelineId, maker: maker ?? undefined };
}

function viewOf(entries: readonly MetadataEntry[]): BranchesView {
  const under = (prefix: string): MetadataEntry[] => entries.filter(({ key }) => key.startsWith(prefix));
  return {
    branches: new Map(
      under('branch/')
        .map(toBranch)
        .map((branch) => [branch.name, branch]),
    ),
    timelines: new Map(
      under('timeline/')
        .map(toTimeline)
        .map((timeline) => [timeline.id, timeline]),
    ),
    endpoints: new Map(
      under('endpoint/')
        .map(toEndpoint)
        .map((endpoint) => [endpoint.name, endpoint]),
    ),
    unfinished: new Map(
      under('unfinished/')
        .map(toUnfinished)
        .map((one) => [one.id, one]),
    ),
  };
}

function noSuchTimeline(id: TimelineId): ControlPlaneError {
  return new ControlPlaneError('no-such-timeline', `no timeline ${id} in this repository`);
}

/** Branches, timelines and endpoints in a metadata store: what exists, never what runs. */
export class Catalog {
  readonly #store: MetadataStore;

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  /** All branches, by name. */
  async branches(): Promise<BranchRecord[]> {
    return (await this.#store.list('branch/')).map(toBranch);
  }

  /** @throws ControlPlaneError `no-such-branch` */
  async branch(name: string): Promise<BranchRecord> {
    const entry = await this.#store.get(`branch/${name}`);
    if (entry === undefined)
      throw new ControlPlaneError('no-such-branch', `no branch '${name}'; 'zenith branch' lists those there are`);
    return toBranch(entry);
  }

  /** True when a branch has this name. */
  async hasBranch(name: string): Promise<boolean> {
    return (await this.#store.get(`branch/${name}`)) !== undefined;
  }

  /** All timelines, by id. */
  async timelines(): Promise<TimelineRecord[]> {
    return (await this.#store.list('timeline/')).map(toTimeline);
  }

  /** @throws ControlPlaneError `no-such-timeline` */
  async timeline(id: TimelineId): Promise<TimelineRecord> {
    const entry = await this.#store.get(`timeline/${id}`);
    if (entry === undefined) throw noSuchTimeline(id);
    return toTimeline(entry);
  }

  /** Timelines in the making, and those to be removed. */
  async unfinished(): Promise<UnfinishedTimeline[]> {
    return (await this.#store.list('unfinished/')).map(toUnfinished);
  }

  /** A process is about to make a timeline: should it die before a branch names it, storage is to remove it. Durable when it returns. */
  async beginTimeline(id: TimelineId, maker: ProcessIdentity): Promise<void> {
    const { pid, startTicks } = maker;
    await this.#store.commit({ expect: [], put: [{ key: `unfinished/${id}`, value: { maker: { pid, startTicks } } }] });
  }

  /** All that a change of branches looks at, as it is now. */
  async branchesView(): Promise<BranchesView> {
    return viewOf(await this.#store.list(''));
  }

  /**
   * Changes which branches there are. All changes follow one another: what `decide` sees has not changed when its answer is applied, so that no branch is made of a timeline that is just being removed.
   * @param decide is called again when somebody else changed something meanwhile; undefined when there is nothing to do; what it throws is thrown
   * @throws ControlPlaneError `conflict`
   */
  async changeBranches(decide: (view: BranchesView) => BranchesChange | undefined): Promise<void> {
    for (let tries = 0; tries < CHANGE_TRIES_MAX; tries++) {
      const entries = await this.#store.list('');
      const change = decide(viewOf(entries));
      if (change === undefined) return;
      const { put, remove } = changeWrites(change);
      const revision = entries.find(({ key }) => key === CHANGES_KEY)?.revision ?? 0;
      const counted = { key: CHANGES_KEY, value: {} };
      const expect = [{ key: CHANGES_KEY, revision }];
      if (await this.#store.commit({ expect, put: [...put, counted], remove })) return;
    }
    throw new ControlPlaneError('conflict', 'the branches are being changed by others; try again');
  }

  /**
   * Adds a timeline and the branch that names it, together.
   * @throws ControlPlaneError `branch-exists`, `no-such-timeline` when its ancestor is gone; nothing was added then
   */
  async addBranch(name: string, timeline: TimelineRecord): Promise<BranchRecord> {
    const { id, ancestor, createdAt } = timeline;
    const branch: BranchRecord = { name, timeline: id, createdAt, isProtected: false };
    await this.changeBranches(({ branches, timelines }) => {
      if (branches.has(name) || timelines.has(id))
        throw new ControlPlaneError('branch-exists', `a branch '${name}' exists already`);
      if (ancestor !== undefined && !timelines.has(ancestor)) throw noSuchTimeline(ancestor);
      return { putTimelines: [timeline], putBranches: [branch], finished: [id] };
    });
    return branch;
  }

  /**
   * The generation of a pageserver that is about to start: higher than any before, durable when it returns.
   * @throws ControlPlaneError `conflict`
   */
  async nextPageserverGeneration(): Promise<number> {
    const key = 'pageserver';
    for (let tries = 0; tries < UPDATE_TRIES_MAX; tries++) {
      const entry = await this.#store.get(key);
      const generation = (entry === undefined ? 0 : parse(pageserverSchema, entry).generation) + 1;
      const expect = [{ key, revision: entry?.revision ?? 0 }];
      if (await this.#store.commit({ expect, put: [{ key, value: { generation } }] })) return generation;
    }
    throw new ControlPlaneError('conflict', 'the pageserver is being started by others; try again');
  }

  /** How much history is kept. */
  async history(): Promise<HistoryPolicy> {
    const entry = await this.#store.get('history');
    return entry === undefined ? DEFAULT_HISTORY : parse(historySchema, entry);
  }

  /** Changes how much history is kept; gives all of it. @throws ControlPlaneError `conflict` */
  async setHistory(change: Partial<HistoryPolicy>): Promise<HistoryPolicy> {
    const key = 'history';
    for (let tries = 0; tries < UPDATE_TRIES_MAX; tries++) {
      const entry = await this.#store.get(key);
      const policy = { ...(entry === undefined ? DEFAULT_HISTORY : parse(historySchema, entry)), ...change };
      const expect = [{ key, revision: entry?.revision ?? 0 }];
      if (await this.#store.commit({ expect, put: [{ key, value: policy }] })) return policy;
    }
    throw new ControlPlaneError('conflict', 'the configuration is being changed by others; try again');
  }

  /** The safekeepers, and the revision they were read at; undefined while they are those that `zenith init` made. */
  async safekeepers(): Promise<{ readonly record: SafekeepersRecord; readonly revision: number } | undefined> {
    const entry = await this.#store.get(SAFEKEEPERS_KEY);
    return entry === undefined ? undefined : { record: parse(safekeepersSchema, entry), revision: entry.revision };
  }

  /**
   * Replaces what is known of the safekeepers, if nobody else has since `revision` (0: since there was nothing).
   * @throws ControlPlaneError `conflict`; nothing was changed then
   */
  async replaceSafekeepers(record: SafekeepersRecord, revision: number): Promise<void> {
    const { nodes, configuration, lastId } = record;
    const value = {
      nodes: nodes.map(({ id, port, httpPort }) => ({ id, port, httpPort })),
      configuration: { ...configuration },
      lastId,
    };
    const replaced = await this.#store.commit({
      expect: [{ key: SAFEKEEPERS_KEY, revision }],
      put: [{ key: SAFEKEEPERS_KEY, value }],
    });
    if (!replaced)
      throw new ControlPlaneError('conflict', 'the safekeepers are being changed by another command; try again');
  }

  /** All endpoints, by name. */
  async endpoints(): Promise<EndpointRecord[]> {
    return (await this.#store.list('endpoint/')).map(toEndpoint);
  }

  /** The endpoint of this name, or undefined. */
  async endpoint(name: string): Promise<EndpointRecord | undefined> {
    const entry = await this.#store.get(`endpoint/${name}`);
    return entry === undefined ? undefined : toEndpoint(entry);
  }

  /** @throws ControlPlaneError `endpoint-exists` */
  async addEndpoint(endpoint: EndpointRecord): Promise<void> {
    const entry = endpointEntry(endpoint);
    const added = await this.#store.commit({ expect: [{ key: entry.key, revision: 0 }], put: [entry] });
    if (!added) throw new ControlPlaneError('endpoint-exists', `an endpoint '${endpoint.name}' exists already`);
  }

  /**
   * Changes an endpoint's port or settings.
   * @param change is called again when somebody else changed the endpoint meanwhile
   * @throws ControlPlaneError `no-such-endpoint`, `conflict`
   */
  async updateEndpoint(
    name: string,
    change: (endpoint: EndpointRecord) => Pick<EndpointRecord, 'port' | 'settings'>,
  ): Promise<EndpointRecord> {
    const key = `endpoint/${name}`;
    for (let tries = 0; tries < UPDATE_TRIES_MAX; tries++) {
      const entry = await this.#store.get(key);
      if (entry === undefined)
        throw new ControlPlaneError(
          'no-such-endpoint',
          `no endpoint '${name}'; 'zenith pg list' lists those there are`,
        );
      const old = toEndpoint(entry);
      const { port, settings } = change(old);
      const value = { branch: old.branch, port, httpPort: old.httpPort, settings, createdAt: old.createdAt };
      if (await this.#store.commit({ expect: [{ key, revision: entry.revision }], put: [{ key, value }] }))
        return { ...old, port, settings };
    }
    throw new ControlPlaneError('conflict', `endpoint '${name}' is being changed by others; try again`);
  }

  /** Removes an endpoint's entry; nothing when there is none. */
  async removeEndpoint(name: string): Promise<void> {
    await this.#store.commit({ expect: [], remove: [`endpoint/${name}`] });
  }
}
