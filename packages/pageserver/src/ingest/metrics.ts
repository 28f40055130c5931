import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of ingest. */
export interface IngestMetrics {
  /** WAL received from safekeepers. */
  readonly receivedBytes: Counter;
  /** Connections to safekeepers that were lost. */
  readonly reconnects: Counter;
  /** Timelines that cannot be followed any further. */
  readonly failures: Counter;
}

/** What the gauges of ingest show of one timeline. */
export interface IngestGauges {
  readonly tenant: string;
  readonly timeline: string;
  readonly lastRecordLsn: number;
  readonly diskConsistentLsn: number;
  readonly remoteConsistentLsn: number;
  /** End of committed WAL as far as it is known. */
  readonly commitLsn: number;
  /** Records by resource manager id, since the start of the process. */
  readonly recordsByRmid: Float64Array | undefined;
  /** Records of kinds that this build has no redo for, since the start of the process. */
  readonly unknownRecords: number;
}

/** Built-in resource managers by id; others count as `custom`. PG: rmgrlist.h. */
const RMGR_NAMES = [
  'xlog',
  'xact',
  'smgr',
  'clog',
  'dbase',
  'tblspc',
  'multixact',
  'relmap',
  'standby',
  'heap2',
  'heap',
  'btree',
  'hash',
  'gin',
  'gist',
  'seq',
  'spgist',
  'brin',
  'commit_ts',
  'replorigin',
  'generic',
  'logicalmsg',
];

/** Most timelines that get gauges of their own, so that the labels stay bounded. */
const TIMELINES_MAX = 200;

/** Registers the metrics of ingest; `timelines` says how each timeline is whenever somebody asks. */
export function ingestMetrics(registry: Registry, timelines: () => readonly IngestGauges[]): IngestMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, value: (timeline: IngestGauges) => number): void => {
    const metric: Gauge<'tenant' | 'timeline'> = new Gauge({
      name,
      help,
      labelNames: ['tenant', 'timeline'],
      registers,
      collect: () => {
        metric.reset();
        for (const timeline of timelines().slice(0, TIMELINES_MAX))
          metric.set({ tenant: timeline.tenant, timeline: timeline.timeline }, value(timeline));
      },
    });
  };
  gauge(
    'zenith_pageserver_last_record_lsn_bytes',
    'End of the last record ingested',
    (timeline) => timeline.lastRecordLsn,
  );
  gauge(
    'zenith_pageserver_disk_consistent_lsn_bytes',
    'Everything up to here survives a crash',
    (timeline) => timeline.diskConsistentLsn,
  );
  gauge(
    'zenith_pageserver_remote_consistent_lsn_bytes',
    'Everything up to here survives the loss of the disk',
    (timeline) => timeline.remoteConsistentLsn,
  );
  gauge(
    'zenith_pageserver_ingest_lag_bytes',
    'Committed WAL that is known and not ingested yet',
    (timeline) => timeline.commitLsn - timeline.lastRecordLsn,
  );
  const records: Gauge<'rmgr'> = new Gauge({
    name: 'zenith_pageserver_ingested_records',
    help: 'Records ingested since the start, by resource manager',
    labelNames: ['rmgr'],
    registers,
    collect: () => {
      records.reset();
      for (const { recordsByRmid } of timelines())
        recordsByRmid?.forEach(
          (count, rmid) => count > 0 && records.inc({ rmgr: RMGR_NAMES[rmid] ?? 'custom' }, count),
        );
    },
  });
  const unknown: Gauge = new Gauge({
    name: 'zenith_pageserver_unknown_records',
    help: 'Records ingested since the start that this build has no redo for, such as those of an extension with a resource manager of its own',
    registers,
    collect: () => unknown.set(timelines().reduce((sum, { unknownRecords }) => sum + unknownRecords, 0)),
  });
  return {
    receivedBytes: new Counter({
      name: 'zenith_pageserver_wal_received_bytes_total',
      help: 'WAL received from safekeepers',
      registers,
    }),
    reconnects: new Counter({
      name: 'zenith_pageserver_wal_reconnects_total',
      help: 'Connections to safekeepers that were lost',
      registers,
    }),
    failures: new Counter({
      name: 'zenith_pageserver_ingest_failures_total',
      help: 'Timelines whose WAL cannot be ingested any further',
      registers,
    }),
  };
}
