import { isId, type TenantId, type TimelineId } from '@zenith/base';
import { parseLayerName } from '../layers/layer-name.ts';

/*
 * What is where in remote storage. Every object is written once; numbers are hexadecimal with eight digits, so that keys sort as they do.
 *
 *   indexes/<tenant>/<timeline>/<generation>-<sequence>        which layers the timeline has; the highest key counts, see remote-index.ts
 *   claims/<tenant>/<timeline>/<generation>                    who writes the timeline's indexes of that generation, see claim.ts
 *   layers/<tenant>/<timeline>/<layer's name>-<generation>     layer files, as they are on the local disk
 */

/** Where the indexes of all timelines are. */
export const INDEXES = 'indexes/';

/** Names an index. */
export interface IndexNumber {
  readonly generation: number;
  /** Counts the indexes of a generation, from 0. */
  readonly sequence: number;
}

/** A timeline and the number of one of its indexes, from a key. */
export interface ParsedIndexKey extends IndexNumber {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
}

function digits(value: number): string {
  return value.toString(16).padStart(8, '0');
}

/** Prefix of a timeline's indexes. */
export function indexPrefix(tenant: TenantId, timeline: TimelineId): string {
  return `${INDEXES}${tenant}/${timeline}/`;
}

/** Key of an index. */
export function indexKey(tenant: TenantId, timeline: TimelineId, number: IndexNumber): string {
  return `${indexPrefix(tenant, timeline)}${digits(number.generation)}-${digits(number.sequence)}`;
}

/** Reads the key of an index; undefined when it is none. */
export function parseIndexKey(key: string): ParsedIndexKey | undefined {
  const match = /^indexes\/([0-9a-f]+)\/([0-9a-f]+)\/([0-9a-f]{8})-([0-9a-f]{8})$/.exec(key);
  if (match === null) return undefined;
  const [, tenant = '', timeline = '', generation = '', sequence = ''] = match;
  if (!isId(tenant) || !isId(timeline)) return undefined;
  return {
    tenant: tenant as TenantId,
    timeline: timeline as TimelineId,
    generation: Number.parseInt(generation, 16),
    sequence: Number.parseInt(sequence, 16),
  };
}

/** Prefix of a timeline's claims. */
export function claimPrefix(tenant: TenantId, timeline: TimelineId): string {
  return `claims/${tenant}/${timeline}/`;
}

/** Key of a claim. */
export function claimKey(tenant: TenantId, timeline: TimelineId, generation: number): string {
  return claimPrefix(tenant, timeline) + digits(generation);
}

/** Prefix of a timeline's layers. */
export function layerPrefix(tenant: TenantId, timeline: TimelineId): string {
  return `layers/${tenant}/${timeline}/`;
}

/** Key of a layer file that was written in `generation`. */
export function layerKey(tenant: TenantId, timeline: TimelineId, fileName: string, generation: number): string {
  return `${layerPrefix(tenant, timeline)}${fileName}-${digits(generation)}`;
}

/** A key, taken apart. */
export interface ParsedKey {
  readonly kind: 'indexes' | 'claims' | 'layers';
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** Of the writer. */
  readonly generation: number;
}

/** Reads any key that Zenith writes; undefined for others. */
export function parseKey(key: string): ParsedKey | undefined {
  const match = /^(indexes|claims|layers)\/([0-9a-f]+)\/([0-9a-f]+)\/(?:([^/]*)-)?([0-9a-f]{8})$/.exec(key);
  if (match === null) return undefined;
  const [, kind = '', tenant = '', timeline = '', name, last = ''] = match;
  if (!isId(tenant) || !isId(timeline)) return undefined;
  const isSound =
    kind === 'claims'
      ? name === undefined
      : name !== undefined && (kind === 'layers' ? parseLayerName(name) !== undefined : /^[0-9a-f]{8}$/.test(name));
  if (!isSound) return undefined;
  return {
    kind: kind as ParsedKey['kind'],
    tenant: tenant as TenantId,
    timeline: timeline as TimelineId,
    // An index's key ends with its sequence.
    generation: Number.parseInt(kind === 'indexes' ? (name ?? '') : last, 16),
  };
}
