import { listCertificates, renewCertificate } from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';
import { formatTable } from '../output/table.ts';

/** `zenith auth certificates [--renew]` */
export async function authCertificates(
  context: CommandContext,
  { renew }: { readonly renew?: boolean },
): CommandResult {
  const repository = repositoryOf(context);
  if (renew === true) await renewCertificate(repository);
  const certificates = listCertificates(repository).map(({ validUntilMs, ...rest }) => ({
    ...rest,
    validUntil: new Date(validUntilMs).toISOString(),
  }));
  const rows = certificates.map(({ use, validUntil, fingerprint, file }) => [
    use,
    validUntil.slice(0, 10),
    fingerprint.replaceAll(':', '').slice(0, 16).toLowerCase(),
    file,
  ]);
  for (const line of formatTable([['CERTIFICATE', 'UNTIL', 'SHA-256', 'FILE'], ...rows])) context.output.line(line);
  return { certificates };
}
