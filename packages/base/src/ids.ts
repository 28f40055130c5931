import { randomBytes } from 'node:crypto';
import { ZenithError } from './errors.ts';

/** Names a tenant: 16 random bytes as 32 lower-case hexadecimal digits. */
export type TenantId = string & { readonly __id: 'tenant' };

/** Names a timeline, one line of WAL history: 16 random bytes as 32 lower-case hexadecimal digits. */
export type TimelineId = string & { readonly __id: 'timeline' };

/** PostgreSQL's own timeline id; 1 for ever here (design, D2). */
export const PG_TIMELINE = 1;

/** The system identifier of a cluster as PostgreSQL prints it, an unsigned 64-bit decimal number. PG: pg_control.h, system_identifier. */
export type SystemId = string & { readonly __id: 'system' };

/** True when `text` has the form of a tenant or timeline id. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}

function parse(what: string, text: string): string {
  const id = text.toLowerCase();
  if (!isId(id)) throw new ZenithError('invalid-id', `'${text}' is not a ${what} id: expected 32 hexadecimal digits`);
  return id;
}

/** @throws ZenithError `invalid-id` */
export function parseTenantId(text: string): TenantId {
  return parse('tenant', text) as TenantId;
}

/** @throws ZenithError `invalid-id` */
export function parseTimelineId(text: string): TimelineId {
  return parse('timeline', text) as TimelineId;
}

/** A new, random tenant id. */
export function newTenantId(): TenantId {
  return randomBytes(16).toString('hex') as TenantId;
}

/** A new, random timeline id. */
export function newTimelineId(): TimelineId {
  return randomBytes(16).toString('hex') as TimelineId;
}
