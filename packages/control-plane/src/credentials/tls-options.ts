import type { TlsOptions } from '@zenith/auth';
import type { RepositoryConfig } from '../repository/config.ts';
import type { RepositoryLayout } from '../repository/layout.ts';

/** The part of a service's configuration that has its ports speak TLS, and by which it knows others; undefined where connections are plain. */
export function tlsOptions({
  config: { tls },
  layout,
}: {
  readonly config: RepositoryConfig;
  readonly layout: RepositoryLayout;
}): TlsOptions | undefined {
  if (typeof tls === 'object') return tls;
  const { certificate, authority } = layout.tls;
  return tls ? { certificate, key: certificate, authorities: authority } : undefined;
}
