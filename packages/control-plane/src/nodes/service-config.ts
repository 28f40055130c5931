import { mkdirSync, readFileSync } from 'node:fs';
import type { SafekeeperAddress } from '../clients/safekeeper-client.ts';
import { ControlPlaneError, isSystemError } from '../errors.ts';
import { overwriteJson, replaceFile } from '../metadata/replace-file.ts';
import type { SafekeeperRecord, SafekeepersRecord } from '../metadata/records.ts';
import type { RepositoryConfig } from '../repository/config.ts';
import type { ServiceLayout } from '../repository/layout.ts';

/** The pageserver's share of the repository's configuration, in the form of its own pageserver.json; the safekeepers are added at each start, as they are to safekeepers'. */
export function pageserverConfig({ host, pageserver }: RepositoryConfig): Record<string, unknown> {
  return {
    listen: { host, port: pageserver.port },
    http: { host, port: pageserver.httpPort },
  };
}

/** Safekeepers as a pageserver and other safekeepers are told of them. */
export function safekeeperAddresses({ host }: RepositoryConfig, { nodes }: SafekeepersRecord): SafekeeperAddress[] {
  return nodes.map(({ id, port, httpPort }) => ({ id, host, port, httpPort }));
}

/** A safekeeper's share of the repository's configuration, in the form of its own safekeeper.json. */
export function safekeeperConfig(config: RepositoryConfig, node: SafekeeperRecord): Record<string, unknown> {
  return {
    id: node.id,
    listen: { host: config.host, port: node.port },
    http: { host: config.host, port: node.httpPort },
  };
}

/**
 * Writes a service's configuration file, unless it says the same already. On a full disk, where there is no room for another file, it is written over the one there is: a service that can be read from starts there, too. What the file holds beside the given keys stays: options that a person added by hand.
 * @throws ControlPlaneError `repository-invalid` when there is a file that is not a JSON object; `system`
 */
export function writeServiceConfig(layout: ServiceLayout, content: Readonly<Record<string, unknown>>): void {
  mkdirSync(layout.dataDir, { recursive: true });
  const before = readText(layout.configFile);
  const merged = { ...(before === undefined ? {} : parseObject(layout.configFile, before)), ...content };
  const text = `${JSON.stringify(merged, undefined, 2)}\n`;
  if (text === before) return;
  try {
    replaceFile(layout.configFile, text);
  } catch (error) {
    if (before === undefined || !isSystemError((error as Error).cause, 'ENOSPC')) throw error;
    overwriteJson(layout.configFile, text);
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw new ControlPlaneError('system', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

function parseObject(path: string, text: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  } catch {
    // Reported below with everything else that is no object.
  }
  throw new ControlPlaneError(
    'repository-invalid',
    `${path} is not a JSON object: correct it, or remove it to have it written anew`,
  );
}
