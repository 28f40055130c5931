// oxlint-disable oxc/no-async-endpoint-handlers -- that rule is about Express; Fastify awaits its handlers
import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import { allocatePage, MAIN_FORKNUM, SIZE_OF_XLOG_RECORD, XL_XID } from '@zenith/pg-format';
import type { FastifyInstance } from 'fastify';
import * as v from 'valibot';
import type { TransactionEnd } from '../commit-times/transaction-ends.ts';
import { PageserverError } from '../errors.ts';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { HistoryValue } from '../timeline/page-history.ts';
import type { Timeline } from '../timeline/timeline.ts';

/** Most values of one answer. */
const VALUES_MAX = 1000;

/** No further value is added to an answer once its values have this many bytes. Unit: bytes. */
const VALUE_BYTES_MAX = 1024 * 1024;

const U32_MAX = 0xffff_ffff;

const u32 = v.pipe(
  v.string(),
  v.regex(/^\d{1,10}$/, 'it must be a whole number'),
  v.transform(Number),
  v.maxValue(U32_MAX, 'it must be below 2^32'),
);
const lsnText = v.pipe(
  v.string(),
  v.transform((text): Lsn => parseLsn(text)),
);
const pageQuery = {
  spc: u32,
  db: u32,
  rel: u32,
  fork: v.optional(u32, String(MAIN_FORKNUM)),
  block: u32,
  lsn: v.optional(lsnText),
};
const query = v.strictObject(pageQuery);
const historyQuery = v.strictObject({
  ...pageQuery,
  limit: v.optional(v.pipe(u32, v.minValue(1), v.maxValue(VALUES_MAX)), String(VALUES_MAX)),
});

/** What the routes need of the service. */
export interface PageRoutesOptions {
  readonly timeline: (params: TimelineParams['Params']) => Timeline;
  /** How long a request waits for WAL that has not been ingested yet. Unit: ms. */
  readonly waitTimeoutMs: number;
}

interface TimelineParams {
  readonly Params: { readonly tenant: string; readonly timeline: string };
  readonly Querystring: Readonly<Record<string, string>>;
}

/**
 * Adds `GET …/timeline/:timeline/page`, one page at an LSN, and `GET …/page-history`, the values that made it, for people and tools: computes read pages by the page service. Bytes are in base64.
 */
export function addPageRoutes(server: FastifyInstance, options: PageRoutesOptions): void {
  const at = async (timeline: Timeline, lsn: Lsn | undefined): Promise<Lsn> => {
    const until = lsn ?? timeline.lastRecordLsn;
    await timeline.waitForLsn(until, { timeoutMs: options.waitTimeoutMs });
    return until;
  };
  server.get<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/page', async (request) => {
    const timeline = options.timeline(request.params);
    const { spc, db, rel, fork, block, lsn } = parseQuery(query, request.query);
    const until = await at(timeline, lsn);
    const page = allocatePage();
    const blocks = await timeline.fetching(() => {
      const object = timeline.find(ObjectKind.relation, spc, db, rel, fork);
      timeline.readPage(object, block, until, page);
      return timeline.blockCount(object, until) ?? 0;
    });
    return {
      lsn: formatLsn(until),
      blocks,
      page: Buffer.from(page.bytes.buffer, page.bytes.byteOffset, page.bytes.length).toString('base64'),
    };
  });
  server.get<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/page-history', async (request) => {
    const timeline = options.timeline(request.params);
    const { spc, db, rel, fork, block, lsn, limit } = parseQuery(historyQuery, request.query);
    const until = await at(timeline, lsn);
    const limits = { valuesMax: limit, bytesMax: VALUE_BYTES_MAX };
    const { values, complete, ends } = await timeline.fetching(() => {
      const history = timeline.pageHistory(
        timeline.find(ObjectKind.relation, spc, db, rel, fork),
        block,
        until,
        limits,
      );
      // Ends later than the page's LSN are told too: how a transaction ended matters, not what was known of it then.
      const written = history.values.map((value) => ({ xid: xidOf(value), lsn: value.lsn }));
      return { ...history, ends: timeline.transactionEnds(written, timeline.lastRecordLsn) };
    });
    return {
      lsn: formatLsn(until),
      complete,
      values: values.map((value, i) => ({ ...describeValue(value), ...describeEnd(ends[i]) })),
    };
  });
}

function isRecord({ kind }: HistoryValue): boolean {
  return kind === ValueKind.record || kind === ValueKind.initRecord;
}

/** The transaction that wrote a record; 0 for none, and for what is no record. */
function xidOf(value: HistoryValue): number {
  const { bytes } = value;
  if (!isRecord(value) || bytes.length < 1 + SIZE_OF_XLOG_RECORD) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(1 + XL_XID, true);
}

function describeEnd(end: TransactionEnd | undefined): Record<string, unknown> {
  if (end === undefined) return {};
  return {
    transaction: end.committed ? 'committed' : 'aborted',
    ...(end.time === undefined ? {} : { commitTime: end.time }),
  };
}

/** A value as the API shows it: of a record the block reference that it is for, and the record trimmed to it. */
function describeValue(value: HistoryValue): Record<string, unknown> {
  const { lsn, kind, bytes } = value;
  const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    lsn: formatLsn(lsn),
    kind: KIND_NAMES[kind],
    ...(isRecord(value) ? { blockIndex: bytes[0] ?? 0 } : {}),
    bytes: content.toString('base64', isRecord(value) ? 1 : 0),
  };
}

const KIND_NAMES: Readonly<Record<ValueKind, string>> = {
  [ValueKind.image]: 'image',
  [ValueKind.zeroPage]: 'zero-page',
  [ValueKind.record]: 'record',
  [ValueKind.initRecord]: 'init-record',
  [ValueKind.operation]: 'operation',
};

function parseQuery<Schema extends v.GenericSchema>(schema: Schema, given: unknown): v.InferOutput<Schema> {
  const result = v.safeParse(schema, given);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new PageserverError('bad-request', `${v.getDotPath(issue) ?? 'query'}: ${issue.message}`);
}
