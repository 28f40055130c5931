import {
  CorruptionError,
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
import type { WrittenLayer } from '../layers/layer-writer.ts';
import { decodeCheckedJson, encodeCheckedJson, isCheckedJson } from './checked-json.ts';

/** One layer in an index. */
export interface IndexedLayer {
  readonly fileName: string;
  readonly kind: LayerKind;
  readonly level: 0 | 1;
  /** Size of the file. Unit: bytes. */
  readonly fileBytes: number;
  /** CRC-32C of the whole file as it was written; undefined for layers from before indexes had it. */
  readonly crc32c?: number | undefined;
}

/** A layer that was just written, as an index names it. */
export function indexedLayer({ fileName, kind, fileBytes, crc32c }: WrittenLayer, level: 0 | 1): IndexedLayer {
  return { fileName, kind, level, fileBytes, crc32c };
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

/** The bytes of an index file, see {@link encodeCheckedJson}. */
export function encodeIndex(index: TimelineIndex): Uint8Array {
  return encodeCheckedJson({
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
      crc32c: layer.crc32c,
    })),
  });
}

/** True when {@link decodeIndex} would find nothing wrong, by the checksum alone: a tenth of the work. False says nothing. */
export function isSoundIndex(bytes: Uint8Array): boolean {
  return isCheckedJson(bytes, `{"format":${FORMAT},`);
}

/**
 * Reads an index file.
 * @param path for messages
 * @throws CorruptionError naming the file
 */
export function decodeIndex(bytes: Uint8Array, path: string): TimelineIndex {
  const body = decodeCheckedJson(bytes, 'the index', path);
  if (body['format'] !== FORMAT)
    throw new CorruptionError(`index format ${String(body['format'])} is not known here, only ${FORMAT}`, {
      source: path,
    });
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
