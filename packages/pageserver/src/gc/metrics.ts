import { Counter, type Registry } from 'prom-client';

/** What collections of history count. */
export interface GcMetrics {
  readonly removedLayers: Counter;
  readonly removedBytes: Counter;
  readonly addedBytes: Counter;
  readonly failures: Counter;
}

/** Registers them. */
export function gcMetrics(registry: Registry): GcMetrics {
  const counter = (name: string, help: string): Counter =>
    new Counter({ name: `zenith_pageserver_gc_${name}`, help, registers: [registry] });
  return {
    removedLayers: counter('removed_layers_total', 'Layer files whose history is not kept any more, or was merged'),
    removedBytes: counter('removed_bytes_total', 'Size of the layer files removed'),
    addedBytes: counter('added_bytes_total', 'Size of the layer files written in their place'),
    failures: counter('failures_total', 'Collections that failed'),
  };
}
