import { nodeId, type ConfiguredReport, type NodeId } from '@zenith/consensus';
import * as v from 'valibot';
import { ControlPlaneError } from '../errors.ts';
import { lsnText, timelineId } from '../metadata/records.ts';

// What the services answer, as far as the control plane looks. Unknown fields are let through: a service may say more than this release knows.

const safekeeperId: v.GenericSchema<number, NodeId> = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(1),
  v.transform((id) => nodeId(id)),
);
const count = v.pipe(v.number(), v.minValue(0));

/** Pageserver: `GET …/timeline/:timeline`, and each element of `GET …/timeline`. */
export const pageserverTimeline = v.object({
  timeline: timelineId,
  ancestorTimeline: v.nullish(timelineId),
  ancestorLsn: v.nullish(lsnText),
  initialLsn: lsnText,
  gcCutoff: v.nullish(lsnText),
  lastRecordLsn: lsnText,
  diskConsistentLsn: lsnText,
  remoteConsistentLsn: v.nullish(lsnText),
  uploads: v.nullish(v.string()),
  uploadError: v.nullish(v.string()),
});

/** One timeline as the pageserver sees it. */
export type PageserverTimeline = v.InferOutput<typeof pageserverTimeline>;

/** Pageserver: `GET …/timeline/:timeline/lsn-at`. */
export const lsnAtTimeAnswer = v.object({
  timeline: timelineId,
  lsn: lsnText,
  /** Unit: microseconds since 1970. */
  commitTime: v.pipe(v.number(), v.safeInteger()),
});

/** Pageserver: `GET …/timeline/:timeline/layers`. */
export const timelineLayers = v.object({
  ...pageserverTimeline.entries,
  memory: v.array(v.object({ frozen: v.boolean(), lsnStart: lsnText, lsnEnd: lsnText, memoryBytes: count })),
  layers: v.array(
    v.object({
      name: v.string(),
      kind: v.picklist(['delta', 'image']),
      level: v.picklist([0, 1]),
      keyStart: v.string(),
      keyEnd: v.string(),
      lsnStart: lsnText,
      lsnEnd: lsnText,
      fileBytes: count,
      resident: v.boolean(),
      remote: v.boolean(),
    }),
  ),
});

/** The layers of a timeline. */
export type TimelineLayers = v.InferOutput<typeof timelineLayers>;

const base64 = v.pipe(
  v.string(),
  v.base64(),
  v.transform((text) => new Uint8Array(Buffer.from(text, 'base64'))),
);

/** Pageserver: `GET …/timeline/:timeline/page`. */
export const pageAnswer = v.object({ lsn: lsnText, blocks: count, page: v.pipe(base64, v.length(8192)) });

/** A page as the pageserver rebuilt it. */
export type PageAnswer = v.InferOutput<typeof pageAnswer>;

/** Pageserver: `GET …/timeline/:timeline/page-history`. */
export const pageHistoryAnswer = v.object({
  lsn: lsnText,
  complete: v.boolean(),
  values: v.array(
    v.object({
      lsn: lsnText,
      kind: v.picklist(['image', 'zero-page', 'record', 'init-record', 'operation']),
      blockIndex: v.optional(v.number()),
      bytes: base64,
      /** How the transaction of a record ended; absent when it has not, or nobody knows. */
      transaction: v.optional(v.picklist(['committed', 'aborted'])),
      /** When it was committed. Unit: microseconds since 1970. */
      commitTime: v.optional(v.pipe(v.number(), v.safeInteger())),
    }),
  ),
});

/** The values that made a page, the newest first. */
export type PageHistoryAnswer = v.InferOutput<typeof pageHistoryAnswer>;

/** Pageserver: `GET …/timeline/:timeline/sizes`. Unit: bytes. */
export const timelineSizes = v.object({ logicalBytes: count, historyBytes: count, uniqueBytes: count });

/** How large a timeline is. */
export type TimelineSizes = v.InferOutput<typeof timelineSizes>;

/** Pageserver: `POST …/timeline/:timeline/lease`, and each element of `leases` of `GET …/lease`. */
export const leaseAnswer = v.object({
  holder: v.string(),
  lsn: lsnText,
  /** Unit: milliseconds since 1970. */
  until: v.pipe(v.number(), v.safeInteger()),
});

/** Keeps an LSN readable until a time. */
export type Lease = v.InferOutput<typeof leaseAnswer>;

/** Pageserver: `POST …/timeline/:timeline/gc`. */
export const collectedAnswer = v.object({
  cutoff: lsnText,
  retainedPoints: count,
  removedLayers: count,
  removedBytes: count,
  addedLayers: count,
  addedBytes: count,
});

/** Safekeeper: `GET …/timeline/:timeline`, and each element of `GET /v1/timelines`. */
export const safekeeperTimeline = v.object({
  tenant: v.string(),
  timeline: timelineId,
  term: count,
  timelineStartLsn: lsnText,
  flushLsn: lsnText,
  commitLsn: lsnText,
  remoteConsistentLsn: lsnText,
});

/** One timeline as a safekeeper sees it. */
export type SafekeeperTimeline = v.InferOutput<typeof safekeeperTimeline>;

/** Safekeeper: `POST …/timeline/:timeline/configuration`. */
export const configuredReport: v.GenericSchema<unknown, ConfiguredReport> = v.pipe(
  v.object({
    node: safekeeperId,
    configuration: v.object({
      generation: count,
      members: v.array(safekeeperId),
      newMembers: v.nullable(v.array(safekeeperId)),
    }),
    term: count,
    lastTerm: count,
    flushLsn: lsnText,
  }),
  v.transform(({ lastTerm, flushLsn, ...rest }): ConfiguredReport => ({ ...rest, position: { lastTerm, flushLsn } })),
);

/** Safekeeper: `POST …/timeline/:timeline/restore`. */
export const restoredTimeline = v.object({ endLsn: v.nullable(lsnText), restored: v.boolean() });

/** Supervisor: `GET /v1/status`. */
export const supervisorStatus = v.object({
  state: v.picklist(['starting', 'running', 'restarting', 'stopping', 'stopped', 'fenced', 'failed']),
  startLsn: v.nullish(lsnText),
  commitLsn: v.nullish(lsnText),
  term: v.nullish(count),
  postgresPort: v.nullish(count),
  postgresPid: v.nullish(count),
  message: v.nullish(v.string()),
});

/** What a compute's supervisor says about itself. */
export type SupervisorStatus = v.InferOutput<typeof supervisorStatus>;

const healthAnswer = v.object({
  status: v.string(),
  broken: v.optional(v.array(v.string()), []),
  /** Wait for room on the disk. */
  diskFull: v.optional(v.array(v.string()), []),
  /** Cannot be written to the disk. */
  flushFailing: v.optional(v.array(v.string()), []),
});

/**
 * What a storage node's `GET /healthz` says.
 * @returns undefined when all is well; else which timelines it cannot serve, though it serves the others
 */
export function readHealth(service: string, answer: unknown): string | undefined {
  const { status, broken, diskFull, flushFailing } = checkAnswer(service, healthAnswer, answer);
  if (status === 'ok') return undefined;
  const ailments = [
    ...(broken.length === 0 ? [] : [`timeline ${broken.join(', ')} cannot be served; see its log`]),
    ...(diskFull.length === 0
      ? []
      : [
          `its disk is full or read-only: timeline ${diskFull.join(', ')} goes on by itself when it takes writes again`,
        ]),
    ...(flushFailing.length === 0
      ? []
      : [
          `it cannot write timeline ${flushFailing.join(', ')} to its disk, and tries again by itself; see its log for the reason`,
        ]),
  ];
  return ailments.length === 0 ? status : ailments.join('; ');
}

/** Checks an answer. @throws ControlPlaneError `service-refused` when it is not what the service's contract says */
export function checkAnswer<Schema extends v.GenericSchema>(
  service: string,
  schema: Schema,
  answer: unknown,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, answer);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new ControlPlaneError(
    'service-refused',
    `${service} gave an answer this release does not understand: ${v.getDotPath(issue) ?? 'answer'}: ${issue.message}`,
  );
}
