import type { Zenith } from './zenith.ts';

/** What the pageserver counts under the name of a metric without labels, since its start. @throws Error when it has none of that name */
export async function pageserverMetric(zenith: Zenith, name: string): Promise<number> {
  return metricAt((await zenith.branch('main')).pageserverHttpPort, name);
}

/** What the pageserver whose HTTP API is at a port counts. @throws Error when it has no metric of that name */
export async function metricAt(httpPort: number, name: string): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  const value = new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)?.[1];
  if (value === undefined) throw new Error(`the pageserver has no metric ${name}`);
  return Number(value);
}
