import type { TenantId, TimelineId } from '@zenith/base';

/** Where the timelines of a tenant are. */
export function timelinesDirectory(storeDirectory: string, tenant: TenantId): string {
  return `${storeDirectory}/tenants/${tenant}/timelines`;
}

/** Where a timeline is. */
export function timelineDirectory(storeDirectory: string, tenant: TenantId, timeline: TimelineId): string {
  return `${timelinesDirectory(storeDirectory, tenant)}/${timeline}`;
}
