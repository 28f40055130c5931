import { Counter, Gauge, type Registry } from 'prom-client';

/** What uploads and downloads count. */
export interface RemoteMetrics {
  readonly uploadedBytes: Counter;
  readonly uploadedLayers: Counter;
  readonly indexes: Counter;
  readonly downloadedBytes: Counter;
  readonly downloadedLayers: Counter;
  readonly deletedObjects: Counter;
  readonly failures: Counter;
}

/** What the gauges show. */
export interface RemoteGauges {
  /** Layers that are to be uploaded. */
  readonly queuedLayers: number;
  /** Their size. Unit: bytes. */
  readonly queuedBytes: number;
  /** Timelines that another pageserver has taken. */
  readonly superseded: number;
}

/** Registers the metrics of remote storage. */
export function remoteMetrics(registry: Registry, gauges: () => RemoteGauges): RemoteMetrics {
  const registers = [registry];
  const counter = (name: string, help: string): Counter =>
    new Counter({ name: `zenith_pageserver_remote_${name}`, help, registers });
  const gauge = (name: string, help: string, value: (gauges: RemoteGauges) => number): void => {
    const metric: Gauge = new Gauge({
      name: `zenith_pageserver_remote_${name}`,
      help,
      registers,
      collect: () => metric.set(value(gauges())),
    });
  };
  gauge('upload_queue_layers', 'Layers that are to be uploaded', ({ queuedLayers }) => queuedLayers);
  gauge('upload_queue_bytes', 'Size of the layers that are to be uploaded', ({ queuedBytes }) => queuedBytes);
  gauge('superseded_timelines', 'Timelines that belong to another pageserver', ({ superseded }) => superseded);
  return {
    uploadedBytes: counter('uploaded_bytes_total', 'Layer files uploaded'),
    uploadedLayers: counter('uploaded_layers_total', 'Layer files uploaded'),
    indexes: counter('indexes_total', 'Indexes put'),
    downloadedBytes: counter('downloaded_bytes_total', 'Layer files downloaded'),
    downloadedLayers: counter('downloaded_layers_total', 'Layer files downloaded'),
    deletedObjects: counter('deleted_objects_total', 'Objects removed'),
    failures: counter('failures_total', 'Operations that failed after all their retries'),
  };
}
