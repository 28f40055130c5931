import { parseLsn, type Lsn } from '@zenith/base';

/** A crash recovery as the server's own log tells it. */
export interface Recovery {
  /** Where the first record it redid begins. */
  readonly start: Lsn;
  /** Where the last one begins. */
  readonly end: Lsn;
  /** From the first record to the last; the checkpoint that makes it durable is not in it. Unit: s, to 10 ms. */
  readonly seconds: number;
}

/** The last crash recovery in a server's log. @throws ZenithError when there is none */
export function lastRecovery(log: string): Recovery {
  const start = [...log.matchAll(/redo starts at ([0-9A-F]+\/[0-9A-F]+)/g)].at(-1)?.[1] ?? '';
  const done = [...log.matchAll(/redo done at ([0-9A-F]+\/[0-9A-F]+) system usage: .* elapsed: ([0-9.]+) s/g)].at(-1);
  return { start: parseLsn(start), end: parseLsn(done?.[1] ?? ''), seconds: Number(done?.[2]) };
}
