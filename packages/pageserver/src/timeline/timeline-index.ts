import {
  CorruptionError,
  crc32c,
  formatLsn,
  type Lsn,
  parseLsn,
  parseTenantId,
  parseTimelineId,
  type TenantId,
  type TimelineId,
} from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';
import type { FileSystem } from '../layers/file-system.ts';
import type { LayerKind } from '../layers/layer-format.ts';

/** One layer in an index. */
export interface IndexedLayer {
  readonly fileName: string;
  readonly kind: LayerKind;
  readonly level: 0 | 1;
  /** Size of the file. Unit: bytes. */
  readonly fileBytes: number;
}

/** What `index.json` says: the only truth about which layers a timeline has and how far it is durable. */
export interface TimelineIndex {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly pgMajor: PgMajor;
  /** Start of the timeline's own history. */
  readonly initialLsn: Lsn;
  readonly ancestor: { readonly timeline: TimelineId; readonly lsn: Lsn } | undefined;
  /** Every value up to here is in the layers named, or in the ancestor. */
  readonly diskConsistentLsn: Lsn;
  /** No layer file of this generation or a higher one was ever named. */
  readonly nextGeneration: number;
  /** Below it nothing is kept but what branches and leases need; left out while everything is. */
  readonly gcCutoff?: Lsn;
  /** LSNs below the cutoff that leases keep. */
  readonly retained?: readonly Lsn[];
  readonly layers: readonly IndexedLayer[];
}

/** The file's name in the timeline's folder. */
export const INDEX_FILE = 'index.json';

const FORMAT = 1;

/** What comes before the body, and what behind it: `}` and a line feed. Unit: bytes. */
const [HEAD_BYTES_MAX, TAIL_BYTES] = [32, 2];

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** The bytes of an index file: JSON of `{crc32c, body}`, the checksum being that of the body's own JSON. */
export function encodeIndex(index: TimelineIndex): Uint8Array {
  const body = {
    format: FORMAT,
    tenant: index.tenant,
    timeline: index.timeline,
    pgMajor: index.pgMajor,
    initialLsn: formatLsn(index.initialLsn),
    ancestor:
      index.ancestor === undefined ? null : { timeline: index.ancestor.timeline, lsn: formatLsn(index.ancestor.lsn) },
    diskConsistentLsn: formatLsn(index.diskConsistentLsn),
    nextGeneration: index.nextGeneration,
    ...(index.gcCutoff === undefined
      ? {}
      : { gcCutoff: formatLsn(index.gcCutoff), retained: (index.retained ?? []).map(formatLsn) }),
    layers: index.layers.map((layer) => ({
      fileName: layer.fileName,
      kind: layer.kind,
      level: layer.level,
      fileBytes: layer.fileBytes,
    })),
  };
  const text = JSON.stringify(body);
  return new TextEncoder().encode(`{"crc32c":${crc32c(new TextEncoder().encode(text))},"body":${text}}\n`);
}

/** The checksum of the body's own JSON: that of its bytes, where the file is as {@link encodeIndex} writes it. */
function bodyChecksum(bytes: Uint8Array, body: unknown): number {
  const head = /^\{"crc32c":\d{1,10},"body":/.exec(new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES_MAX)))?.[0];
  if (head === undefined) return crc32c(new TextEncoder().encode(JSON.stringify(body)));
  return crc32c(bytes, head.length, bytes.length - TAIL_BYTES);
}

/**
 * Reads an index file.
 * @param path for messages
 * @throws CorruptionError naming the file
 */
export function decodeIndex(bytes: Uint8Array, path: string): TimelineIndex {
  const corrupt = (message: string, cause?: unknown): CorruptionError =>
    new CorruptionError(message, { source: path }, { cause });
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw corrupt('the index is not JSON', error);
  }
  if (!isObject(parsed) || !isObject(parsed['body'])) throw corrupt('the index has no body');
  const body = parsed['body'];
  if (bodyChecksum(bytes, body) !== parsed['crc32c']) throw corrupt('the checksum of the index is wrong');
  if (body['format'] !== FORMAT)
    throw corrupt(`index format ${String(body['format'])} is not known here, only ${FORMAT}`);
  // From here on the body is as encodeIndex() wrote it: its checksum is right and its format known.
  const sound = body as unknown as {
    tenant: string;
    timeline: string;
    pgMajor: PgMajor;
    initialLsn: string;
    ancestor: { timeline: string; lsn: string } | null;
    diskConsistentLsn: string;
    nextGeneration: number;
    gcCutoff?: string;
    retained?: string[];
    layers: IndexedLayer[];
  };
  return {
    tenant: parseTenantId(sound.tenant),
    timeline: parseTimelineId(sound.timeline),
    pgMajor: sound.pgMajor,
    initialLsn: parseLsn(sound.initialLsn),
    ancestor:
      sound.ancestor === null
        ? undefined
        : { timeline: parseTimelineId(sound.ancestor.timeline), lsn: parseLsn(sound.ancestor.lsn) },
    diskConsistentLsn: parseLsn(sound.diskConsistentLsn),
    nextGeneration: sound.nextGeneration,
    ...(sound.gcCutoff === undefined
      ? {}
      : { gcCutoff: parseLsn(sound.gcCutoff), retained: (sound.retained ?? []).map(parseLsn) }),
    layers: sound.layers,
  };
}

/**
 * Replaces the index in `directory` in one durable step. When it fails, the old index or the new one is there.
 * @param onReplace called right before: until then the old one is there, whatever fails
 */
export async function writeIndex(
  fileSystem: FileSystem,
  directory: string,
  index: TimelineIndex,
  onReplace: () => void = () => undefined,
): Promise<void> {
  const temporary = `${directory}/${INDEX_FILE}.tmp`;
  if (fileSystem.size(temporary) !== undefined) fileSystem.unlink(temporary);
  const bytes = encodeIndex(index);
  const fd = fileSystem.create(temporary);
  try {
    fileSystem.write(fd, bytes, 0, bytes.length);
  } finally {
    fileSystem.close(fd);
  }
  await fileSystem.sync(temporary);
  onReplace();
  await fileSystem.rename(temporary, `${directory}/${INDEX_FILE}`);
  await fileSystem.syncDirectory(directory);
}
