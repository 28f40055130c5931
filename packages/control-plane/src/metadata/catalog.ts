import { CorruptionError, formatLsn, type TimelineId } from '@zenith/base';
import * as v from 'valibot';
import { ControlPlaneError } from '../errors.ts';
import type { MetadataEntry, MetadataStore } from './metadata-store.ts';
import {
  branchSchema,
  endpointSchema,
  pageserverSchema,
  timelineSchema,
  type BranchRecord,
  type EndpointRecord,
  type TimelineRecord,
} from './records.ts';

/** How often an update is tried again after somebody else changed the same entry. */
const UPDATE_TRIES_MAX = 16;

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
    if (entry === undefined) throw new ControlPlaneError('no-such-timeline', `no timeline ${id} in this repository`);
    return toTimeline(entry);
  }

  /**
   * Adds a timeline and the branch that names it, together.
   * @throws ControlPlaneError `branch-exists`; nothing was added then
   */
  async addBranch(name: string, timeline: TimelineRecord): Promise<BranchRecord> {
    const { id, ancestor, startLsn, pgMajor, systemId, createdAt } = timeline;
    const added = await this.#store.commit({
      expect: [
        { key: `branch/${name}`, revision: 0 },
        { key: `timeline/${id}`, revision: 0 },
      ],
      put: [
        {
          key: `timeline/${id}`,
          value: { pgMajor, systemId, ancestor: ancestor ?? null, startLsn: formatLsn(startLsn), createdAt },
        },
        { key: `branch/${name}`, value: { timeline: id, createdAt } },
      ],
    });
    if (!added) throw new ControlPlaneError('branch-exists', `a branch '${name}' exists already`);
    return { name, timeline: id, createdAt };
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
    const { name, branch, port, httpPort, settings, createdAt } = endpoint;
    const key = `endpoint/${name}`;
    const added = await this.#store.commit({
      expect: [{ key, revision: 0 }],
      put: [{ key, value: { branch, port, httpPort, settings, createdAt } }],
    });
    if (!added) throw new ControlPlaneError('endpoint-exists', `an endpoint '${name}' exists already`);
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
