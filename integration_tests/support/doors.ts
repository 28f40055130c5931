import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bearerHeaders, requestOver, type Trust } from '@zenith/auth';
import type { TenantId, TimelineId } from '@zenith/base';
import { PageClient, PostgresClient } from '@zenith/wire';
import type { Zenith } from './zenith.ts';

/** A port that a service listens on, and how somebody with a token comes in. */
export interface Door {
  readonly name: string;
  readonly port: number;
  /** Tries to come in and ask for something. @param trust undefined: in clear @returns `in`, or what the service refused with */
  knock(token: string | undefined, trust?: Trust): Promise<string>;
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
    port,
    async knock(token, trust) {
      try {
        const { status, body } = await get(port, token, trust);
        const { code } = JSON.parse(body) as { code?: string };
        return status === 200 ? 'in' : (code ?? String(status));
      } catch (error) {
        return codeOf(error);
      }
    },
  };
}

function get(
  port: number,
  token: string | undefined,
  trust: Trust | undefined,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path: '/v1/status',
      headers: bearerHeaders(token),
      agent: false,
    } as const;
    const sent = requestOver(trust, { ...options, timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.once('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.once('error', reject);
    sent.end();
  });
}

/** The code of a failure, or that of its cause. */
function codeOf(error: unknown): string {
  const { sqlState, code, cause } = error as { sqlState?: string; code?: string; cause?: { code?: string } };
  return sqlState ?? cause?.code ?? code ?? String(error);
}

function pageDoor(port: number, tenant: TenantId, timeline: TimelineId): Door {
  return {
    name: 'pageserver',
    port,
    async knock(token, trust) {
      const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
      try {
        const client = await PageClient.connect({ address, tenant, timeline, token, trust, timeoutMs: TIMEOUT_MS });
        client.close();
        return 'in';
      } catch (error) {
        return codeOf(error);
      }
    },
  };
}

function walDoor(name: string, port: number, tenant: TenantId, timeline: TimelineId): Door {
  const options = `-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}`;
  const parameters = { user: 'test', replication: 'true', application_name: 'test', options };
  return {
    name,
    port,
    async knock(token, trust) {
      const where = { host: '127.0.0.1', port, parameters, password: token, trust, timeoutMs: TIMEOUT_MS };
      try {
        const client = await PostgresClient.connect(where);
        await client.query('IDENTIFY_SYSTEM');
        client.close();
        return 'in';
      } catch (error) {
        return codeOf(error);
      }
    },
  };
}
