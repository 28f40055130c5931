import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TenantId, TimelineId } from '@zenith/base';
import { PageClient, PostgresClient } from '@zenith/wire';
import type { Zenith } from './zenith.ts';

/** A port that a service listens on, and how somebody with a token comes in. */
export interface Door {
  readonly name: string;
  /** Tries to come in and ask for something. @returns `in`, or what the service refused with */
  knock(token: string | undefined): Promise<string>;
}

const TIMEOUT_MS = 20_000;

/** Every port of a cluster with one endpoint `main` that runs, PostgreSQL's own left out. @param timeline what pages and WAL are asked for */
export async function doorsOf(zenith: Zenith, tenant: TenantId, timeline: TimelineId): Promise<Door[]> {
  const { nodes } = await zenith.status();
  const compute = JSON.parse(readFileSync(join(zenith.repository, 'computes/main/compute.json'), 'utf8')) as {
    http: { port: number };
  };
  const doors = nodes.flatMap(({ service, id, port, httpPort }) => [
    service === 'pageserver' ? pageDoor(port, tenant, timeline) : walDoor(`safekeeper ${id}`, port, tenant, timeline),
    httpDoor(`${service} ${id ?? ''} over HTTP`, httpPort),
  ]);
  return [...doors, httpDoor('supervisor over HTTP', compute.http.port)];
}

function httpDoor(name: string, port: number): Door {
  return {
    name,
    async knock(token) {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(`http://127.0.0.1:${port}/v1/status`, { headers });
      const { code } = (await response.json()) as { code?: string };
      return response.ok ? 'in' : (code ?? String(response.status));
    },
  };
}

function pageDoor(port: number, tenant: TenantId, timeline: TimelineId): Door {
  return {
    name: 'pageserver',
    async knock(token) {
      const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
      try {
        const client = await PageClient.connect({ address, tenant, timeline, token, timeoutMs: TIMEOUT_MS });
        client.close();
        return 'in';
      } catch (error) {
        return (error as { code: string }).code;
      }
    },
  };
}

function walDoor(name: string, port: number, tenant: TenantId, timeline: TimelineId): Door {
  const options = `-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}`;
  const parameters = { user: 'test', replication: 'true', application_name: 'test', options };
  return {
    name,
    async knock(token) {
      const where = { host: '127.0.0.1', port, parameters, password: token, timeoutMs: TIMEOUT_MS };
      try {
        const client = await PostgresClient.connect(where);
        await client.query('IDENTIFY_SYSTEM');
        client.close();
        return 'in';
      } catch (error) {
        const { sqlState, code } = error as { sqlState?: string; code?: string };
        return sqlState ?? code ?? String(error);
      }
    },
  };
}
