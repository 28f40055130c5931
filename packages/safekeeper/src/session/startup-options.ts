import { parseTenantId, parseTimelineId, type TenantId, type TimelineId } from '@zenith/base';
import type { Term } from '@zenith/consensus';
import { PostgresServerError } from '@zenith/wire';

/** What a connection is about, from its startup message. */
export interface StartupOptions {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** Set for reads up to the flush LSN, which are served only while this is the safekeeper's term. */
  readonly term: Term | null;
  /** What the client calls itself, for status and logs. */
  readonly applicationName: string;
}

/** Longest application name kept. PG: NAMEDATALEN - 1. */
const APPLICATION_NAME_MAX = 63;

/**
 * Reads the parameters of a startup message: `replication` must be on, `options` must name tenant and timeline with `-c zenith.tenant=… -c zenith.timeline=…`.
 * @throws PostgresServerError when they do not, or when a `zenith.` setting is not known
 */
export function parseStartupOptions(parameters: ReadonlyMap<string, string>): StartupOptions {
  const replication = parameters.get('replication') ?? 'off';
  if (!/^(true|on|yes|1)$/i.test(replication))
    throw new PostgresServerError(
      '08P01',
      `a safekeeper serves physical replication only: connect with replication=true, not '${replication}'`,
    );
  let tenant: TenantId | undefined;
  let timeline: TimelineId | undefined;
  let term: Term | null = null;
  for (const [, name = '', value = ''] of (parameters.get('options') ?? '').matchAll(/(?:-c\s*|--)([\w.]+)=(\S*)/g)) {
    if (!name.startsWith('zenith.')) continue;
    switch (name) {
      case 'zenith.tenant':
        tenant = orRefuse(() => parseTenantId(value));
        break;
      case 'zenith.timeline':
        timeline = orRefuse(() => parseTimelineId(value));
        break;
      case 'zenith.term':
        if (!/^\d{1,16}$/.test(value) || !Number.isSafeInteger(Number(value)))
          throw new PostgresServerError('22023', `'${value}' is not a term`);
        term = Number(value);
        break;
      default:
        throw new PostgresServerError('22023', `the setting ${name} is not known to a safekeeper`);
    }
  }
  if (tenant === undefined || timeline === undefined)
    throw new PostgresServerError(
      '08P01',
      "which timeline? connect with options='-c zenith.tenant=<id> -c zenith.timeline=<id>'",
    );
  return {
    tenant,
    timeline,
    term,
    applicationName: (parameters.get('application_name') ?? '').slice(0, APPLICATION_NAME_MAX),
  };
}

function orRefuse<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new PostgresServerError('22023', (error as Error).message);
  }
}
