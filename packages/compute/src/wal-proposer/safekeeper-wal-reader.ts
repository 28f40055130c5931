import type { Tokens } from '@zenith/auth';
import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import { WalStreamReader } from '@zenith/wire';
import { SAFEKEEPER_CONNECT_TIMEOUT_MS, safekeeperParameters, type SafekeeperAddress } from './safekeeper-address.ts';

/** Whose WAL to read and how far one may see. */
export interface SafekeeperWalSource {
  readonly address: SafekeeperAddress;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** What the safekeeper is shown. */
  readonly tokens: Tokens;
  /** Read up to the flush LSN while this term is the safekeeper's; left out: committed WAL only. */
  readonly term?: number;
  readonly timeoutMs?: number;
}

/** Connects to a safekeeper and asks for WAL from `from` on. @throws what {@link WalStreamReader.open} throws */
export function openSafekeeperWal(source: SafekeeperWalSource, from: Lsn): Promise<WalStreamReader> {
  const { address, tenant, timeline, tokens, term } = source;
  return WalStreamReader.open(
    {
      host: address.host,
      port: address.port,
      parameters: safekeeperParameters(tenant, timeline, term),
      password: tokens.token(timeline),
      trust: tokens.trust,
      timeoutMs: source.timeoutMs ?? SAFEKEEPER_CONNECT_TIMEOUT_MS,
    },
    from,
  );
}

/** The WAL `[from, to)` in one piece, the caller's. Give bounded ranges only. @throws as {@link WalStreamReader} does */
export async function readSafekeeperWal(source: SafekeeperWalSource, from: Lsn, to: Lsn): Promise<Uint8Array> {
  const bytes = new Uint8Array(to - from);
  if (bytes.length === 0) return bytes;
  const reader = await openSafekeeperWal(source, from);
  const timer = setTimeout(() => reader.close(), source.timeoutMs ?? SAFEKEEPER_CONNECT_TIMEOUT_MS);
  try {
    for (let done = 0; done < bytes.length;) {
      const chunk = await reader.next();
      bytes.set(chunk.subarray(0, bytes.length - done), done);
      done += chunk.length;
    }
    return bytes;
  } finally {
    clearTimeout(timer);
    reader.close();
  }
}
