import { formatLsn, isId, parseLsn, type Lsn, type SystemId, type TenantId, type TimelineId } from '@zenith/base';
import { AuthOptionsSchema, TlsOptionsSchema } from '@zenith/auth';
import { PG_MAJORS } from '@zenith/pg-format';
import { allMembers, isConfiguration, MEMBERS_MAX, nodeId, type Configuration, type NodeId } from '@zenith/consensus';
import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { checkSettings } from '../data-directory/configuration.ts';
import { ComputeError, messageOf } from '../errors.ts';
import type { SafekeeperAddress } from '../wal-proposer/safekeeper-address.ts';

const host = v.pipe(v.string(), v.minLength(1), v.maxLength(255));
/** @param lowest 1 for a port to connect to, 0 for one to listen on, where it lets the system choose */
const port = (lowest: 0 | 1) => v.pipe(v.number(), v.integer(), v.minValue(lowest), v.maxValue(65_535));
const id = v.pipe(v.string(), v.check(isId, 'expected 32 lower-case hexadecimal digits'));
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(255));
const MIB = 1024 * 1024;
const lagBytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const lagSeconds = v.pipe(v.number(), v.minValue(0), v.maxValue(86_400));
const milliseconds = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(86_400_000));
const lsnText = v.pipe(
  v.string(),
  v.check((text) => isLsn(text), 'expected an LSN such as 0/16B3D98'),
  v.transform((text): Lsn => parseLsn(text)),
);

function isLsn(text: string): boolean {
  try {
    parseLsn(text);
    return true;
  } catch {
    return false;
  }
}

/** Most safekeepers a compute is told of: two sets of members while they change. */
const SAFEKEEPERS_MAX = 2 * MEMBERS_MAX;

const safekeeperId: v.GenericSchema<number, NodeId> = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(1),
  v.transform((value) => nodeId(value)),
);

/** Where one safekeeper is. */
export const SafekeeperAddressSchema: v.GenericSchema<
  { readonly id: number; readonly host: string; readonly port: number },
  SafekeeperAddress
> = v.strictObject({ id: safekeeperId, host, port: port(1) });

const ConfigurationSchema: v.GenericSchema<
  { readonly generation: number; readonly members: number[]; readonly newMembers: number[] | null },
  Configuration
> = v.pipe(
  v.strictObject({
    generation: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    members: v.array(safekeeperId),
    newMembers: v.nullable(v.array(safekeeperId)),
  }),
  v.check((value) => isConfiguration(value), 'it is empty, or names a safekeeper twice'),
);

/** compute.json: everything a supervisor is told. Unknown keys are refused. */
const ComputeConfigSchema = v.strictObject({
  tenant: v.pipe(
    id,
    v.transform((text) => text as TenantId),
  ),
  timeline: v.pipe(
    id,
    v.transform((text) => text as TimelineId),
  ),
  /** Name of the branch, for logs and messages. */
  branch: name,
  /** Name of the endpoint, for logs and messages. */
  endpoint: name,
  /** The cluster's system identifier, decimal. */
  systemId: v.pipe(
    v.string(),
    v.regex(/^\d{1,20}$/, 'expected a decimal number'),
    v.transform((text) => text as SystemId),
  ),
  /** Where the timeline begins: the branch point, or the end of the imported WAL for a first timeline. */
  startLsn: lsnText,
  /** The timelines this one descends from, nearest first, each with where it begins itself: WAL before a beginning is found on the next one. */
  ancestors: v.optional(
    v.pipe(
      v.array(
        v.strictObject({
          timeline: v.pipe(
            id,
            v.transform((text) => text as TimelineId),
          ),
          startLsn: lsnText,
        }),
      ),
      v.maxLength(10_000),
    ),
    [],
  ),
  /** Where safekeepers are: every member of the configuration, and others that may become one. */
  safekeepers: v.pipe(
    v.array(SafekeeperAddressSchema),
    v.minLength(1),
    v.maxLength(SAFEKEEPERS_MAX),
    v.check(
      (list) => new Set(list.map((member) => member.id)).size === list.length,
      'two safekeepers have the same id',
    ),
  ),
  /** Which of them vote; all of them, in generation 1, when it is left out. */
  configuration: v.optional(ConfigurationSchema),
  pageserver: v.strictObject({
    host,
    /** Of its page service. */
    port: port(1),
    /** Of its HTTP interface. */
    httpPort: port(1),
  }),
  postgres: v.strictObject({
    major: v.picklist(PG_MAJORS),
    /** Folder of a distribution's server programs; npm's are used when it is left out. */
    binDir: v.optional(v.pipe(v.string(), v.minLength(1))),
    host: v.optional(host, '127.0.0.1'),
    port: port(1),
    /** Name of the database superuser. */
    user: name,
    /** OS user to run as, for root only. */
    osUser: v.optional(name),
    /** PostgreSQL settings by name. */
    settings: v.optional(v.record(v.string(), v.string()), {}),
  }),
  /** Where the supervisor listens; port 0 lets the system choose. */
  http: v.strictObject({ host: v.optional(host, '127.0.0.1'), port: v.optional(port(0), 0) }),
  /** When commits are slowed down because what follows the WAL lags; a limit of 0 is none. */
  backpressure: v.optional(
    v.strictObject({
      ingestLagBytesMax: v.optional(lagBytes, 1024 * MIB),
      ingestLagSecondsMax: v.optional(lagSeconds, 0),
      archiveLagBytesMax: v.optional(lagBytes, 4096 * MIB),
      archiveLagSecondsMax: v.optional(lagSeconds, 0),
      /** The longest that the acknowledgement of a commit is held back. */
      delayMsMax: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(60_000)), 1_000),
    }),
    {},
  ),
  /** Whom to let in, and what to show pageserver and safekeepers; without it everybody is let in. */
  auth: v.optional(AuthOptionsSchema),
  /** The certificate of its HTTP, and how it knows pageserver and safekeepers; without it connections are plain. */
  tls: v.optional(TlsOptionsSchema),
  timeouts: v.optional(
    v.strictObject({
      /** Longest wait for a quorum of safekeepers at start. */
      electionMs: v.optional(milliseconds, 30_000),
      /** Longest wait for the pageserver to ingest up to the start LSN. */
      pageserverMs: v.optional(milliseconds, 60_000),
      /** Longest wait for PostgreSQL to take connections. */
      postgresReadyMs: v.optional(milliseconds, 60_000),
      /** Longest clean stop; what the quorum lacks by then is given up, as no commit waits for it any more. */
      stopMs: v.optional(milliseconds, 45_000),
    }),
    {},
  ),
});

/** A checked compute.json with its defaults filled in. */
export type ComputeConfig = v.InferOutput<typeof ComputeConfigSchema> & { readonly configuration: Configuration };

/** compute.json as it is written. */
export type ComputeConfigInput = v.InferInput<typeof ComputeConfigSchema>;

/** Checks what was read from `source`. @throws ComputeError `invalid-config`, `reserved-setting` */
export function parseComputeConfig(value: unknown, source: string): ComputeConfig {
  const result = v.safeParse(ComputeConfigSchema, value, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    throw new ComputeError(
      'invalid-config',
      `'${source}' is not valid: ${v.getDotPath(issue) ?? 'the file'}: ${issue.message}`,
    );
  }
  checkSettings(result.output.postgres.settings);
  const { safekeepers } = result.output;
  const everybody: Configuration = {
    generation: 1,
    members: safekeepers.map(({ id: member }) => member),
    newMembers: null,
  };
  const config: ComputeConfig = { ...result.output, configuration: result.output.configuration ?? everybody };
  const unknown = allMembers(config.configuration).find((member) => !safekeepers.some((one) => one.id === member));
  if (unknown !== undefined)
    throw new ComputeError(
      'invalid-config',
      `'${source}' is not valid: it does not say where safekeeper ${unknown} is`,
    );
  let below = config.startLsn;
  for (const ancestor of config.ancestors) {
    if (ancestor.startLsn > below)
      throw new ComputeError(
        'invalid-config',
        `'${source}' is not valid: the ancestor ${ancestor.timeline} begins at ${formatLsn(ancestor.startLsn)}, after its descendant`,
      );
    below = ancestor.startLsn;
  }
  return config;
}

/** Reads a compute.json. @throws ComputeError `invalid-config`, `reserved-setting` */
export function readComputeConfig(file: string): ComputeConfig {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new ComputeError('invalid-config', `cannot read '${file}': ${messageOf(error)}`, { cause: error });
  }
  return parseComputeConfig(value, file);
}
