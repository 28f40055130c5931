import { isId, parseLsn, type Lsn, type SystemId, type TimelineId } from '@zenith/base';
import { allMembers, isConfiguration, nodeId, type Configuration, type NodeId } from '@zenith/consensus';
import { PG_MAJORS, type PgMajor } from '@zenith/pg-format';
import * as v from 'valibot';
import type { ProcessIdentity } from '@zenith/service';

/** An LSN, as text in JSON. */
export const lsnText = v.pipe(
  v.string(),
  v.regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/, 'expected an LSN such as 0/16B3D98'),
  v.transform((text): Lsn => parseLsn(text)),
);

/** A timeline id in JSON. */
export const timelineId = v.pipe(
  v.string(),
  v.check(isId, 'expected 32 hexadecimal digits'),
  v.transform((text) => text as TimelineId),
);

/** A TCP port in JSON. */
export const portNumber = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535));

/** A PostgreSQL major version this release runs. */
export const pgMajor = v.picklist(PG_MAJORS);

const instant = v.pipe(v.string(), v.isoTimestamp());

/** Value of `timeline/<id>`. */
export const timelineSchema = v.strictObject({
  pgMajor: v.picklist(PG_MAJORS),
  systemId: v.pipe(
    v.string(),
    v.digits(),
    v.transform((text) => text as SystemId),
  ),
  ancestor: v.nullable(timelineId),
  startLsn: lsnText,
  createdAt: instant,
});

/** Value of `branch/<name>`. */
export const branchSchema = v.strictObject({
  timeline: timelineId,
  createdAt: instant,
  isProtected: v.optional(v.boolean(), false),
});

/** Value of `unfinished/<timeline id>`: the process that makes the timeline, null for one that is to be removed. */
export const unfinishedSchema = v.strictObject({
  maker: v.nullable(v.strictObject({ pid: v.number(), startTicks: v.number() })),
});

/** Value of `endpoint/<name>`. */
export const endpointSchema = v.strictObject({
  branch: v.string(),
  port: portNumber,
  httpPort: portNumber,
  settings: v.record(v.string(), v.string()),
  createdAt: instant,
});

/** Value of `history`: how much of it is kept. */
export const historySchema = v.strictObject({
  timeMs: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});

/** Value of `pageserver`: the generation that was given out last. */
export const pageserverSchema = v.strictObject({ generation: v.pipe(v.number(), v.safeInteger(), v.minValue(1)) });

const safekeeperId: v.GenericSchema<number, NodeId> = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(1),
  v.transform((id) => nodeId(id)),
);

/** Value of `safekeepers`. */
export const safekeepersSchema: v.GenericSchema<unknown, SafekeepersRecord> = v.pipe(
  v.strictObject({
    nodes: v.array(v.strictObject({ id: safekeeperId, port: portNumber, httpPort: portNumber })),
    configuration: v.pipe(
      v.strictObject({
        generation: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
        members: v.array(safekeeperId),
        newMembers: v.nullable(v.array(safekeeperId)),
      }),
      v.check((value) => isConfiguration(value), 'it is empty, or names a safekeeper twice'),
    ),
    lastId: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  }),
  v.check(
    ({ nodes, configuration }) => allMembers(configuration).every((member) => nodes.some(({ id }) => id === member)),
    'a member is none of the safekeepers',
  ),
);

/** A safekeeper and its ports. */
export interface SafekeeperRecord {
  readonly id: NodeId;
  readonly port: number;
  readonly httpPort: number;
}

/** The safekeepers there are, and which of them vote. */
export interface SafekeepersRecord {
  /** All that `zenith start` starts: the members, and those that are about to become members or have just ceased to be. */
  readonly nodes: readonly SafekeeperRecord[];
  readonly configuration: Configuration;
  /** The highest id that was ever given to one. */
  readonly lastId: number;
}

/** One line of WAL history as the cluster's metadata describe it. */
export interface TimelineRecord {
  readonly id: TimelineId;
  readonly pgMajor: PgMajor;
  readonly systemId: SystemId;
  /** The timeline it shares its history with up to `startLsn`; undefined for the first. */
  readonly ancestor: TimelineId | undefined;
  /** Where its own WAL begins: the branch point, or the end of the imported cluster. */
  readonly startLsn: Lsn;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** A name for a timeline. */
export interface BranchRecord {
  readonly name: string;
  readonly timeline: TimelineId;
  /** ISO 8601. */
  readonly createdAt: string;
  /** It cannot be deleted, reset or restored. */
  readonly isProtected: boolean;
}

/** A timeline that storage may have and no branch names: one in the making, or one to be removed. */
export interface UnfinishedTimeline {
  readonly id: TimelineId;
  /** The process that makes it; undefined when it is to be removed. */
  readonly maker: ProcessIdentity | undefined;
}

/** A PostgreSQL server that can be started on a branch. */
export interface EndpointRecord {
  readonly name: string;
  readonly branch: string;
  /** PostgreSQL's port. */
  readonly port: number;
  /** Its supervisor's HTTP port. */
  readonly httpPort: number;
  /** PostgreSQL settings given by the user, name to value. */
  readonly settings: Readonly<Record<string, string>>;
  /** ISO 8601. */
  readonly createdAt: string;
}
