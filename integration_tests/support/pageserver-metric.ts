import type { Zenith } from './zenith.ts';

/** What the pageserver counts under the name of a metric without labels, since its start. @throws Error when it has none of that name */
export async function pageserverMetric(zenith: Zenith, name: string): Promise<number> {
  const { pageserverHttpPort } = await zenith.branch('main');
  const metrics = await (await fetch(`http://127.0.0.1:${pageserverHttpPort}/metrics`)).text();
  const value = new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)?.[1];
  if (value === undefined) throw new Error(`the pageserver has no metric ${name}`);
  return Number(value);
}
