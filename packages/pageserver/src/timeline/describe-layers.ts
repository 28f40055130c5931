import { formatLsn } from '@zenith/base';
import { LayerKind } from '../layers/layer-format.ts';
import type { TimelineState } from './timeline-state.ts';

/** A layer file, for people and programs; LSNs as text. */
export interface DescribedLayer {
  readonly name: string;
  readonly kind: 'delta' | 'image';
  /** 0: as it was flushed; 1: made by compaction or by an import. */
  readonly level: 0 | 1;
  /** First key, 44 hexadecimal digits. */
  readonly keyStart: string;
  /** End of the keys, exclusive. */
  readonly keyEnd: string;
  readonly lsnStart: string;
  /** End of the LSNs, exclusive. */
  readonly lsnEnd: string;
  readonly fileBytes: number;
  /** The file is on the pageserver's disk. */
  readonly resident: boolean;
  /** Remote storage has it, named by an index that counts. */
  readonly remote: boolean;
}

/** Values in memory, for people and programs; LSNs as text. */
export interface DescribedMemoryLayer {
  readonly frozen: boolean;
  readonly lsnStart: string;
  /** End of the LSNs, exclusive. */
  readonly lsnEnd: string;
  readonly memoryBytes: number;
}

/** Where the values of a timeline are. What lies below its own layers is its ancestor's. */
export interface DescribedLayers {
  /** Newest first. */
  readonly memory: readonly DescribedMemoryLayer[];
  /** In the order in which a read asks them, those of a tier in key order. */
  readonly layers: readonly DescribedLayer[];
}

/** Says where the values of a timeline are. */
export function describeLayers(state: TimelineState): DescribedLayers {
  const { remote } = state.shared;
  return {
    memory: state.memoryLayers.map((layer) => ({
      frozen: layer.frozen,
      lsnStart: formatLsn(layer.lsnStart),
      // The layer that takes ingest has no end yet.
      lsnEnd: formatLsn(layer.frozen ? layer.lsnEnd : state.lastRecordLsn),
      memoryBytes: layer.memoryBytes,
    })),
    layers: state.layerMap.tiers.flatMap(({ level, layers }) =>
      layers.map((layer): DescribedLayer => {
        const { keys, lsnStart, lsnEnd } = layer.name;
        const name = state.fileNameOf(layer);
        return {
          name,
          kind: layer.identity.kind === LayerKind.image ? 'image' : 'delta',
          level,
          keyStart: keys.start,
          keyEnd: keys.end,
          lsnStart: formatLsn(lsnStart),
          lsnEnd: formatLsn(lsnEnd),
          fileBytes: layer.identity.fileBytes,
          resident: layer.isResident,
          remote: remote?.isDurable(state.tenant, state.timeline, name) === true,
        };
      }),
    ),
  };
}
