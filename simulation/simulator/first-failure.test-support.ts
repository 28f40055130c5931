import type { SeedReport } from './simulation.ts';

/** What breaks in the first seed that fails, from 1 to `seedsMax`; null when none does. The simulator is imported when this is called: with the rules that are broken then. */
export async function firstFailure(seedsMax: number): Promise<SeedReport['failure']> {
  const { simulate } = await import('./simulation.ts');
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { failure } = await simulate(seed);
    if (failure !== null) return failure;
  }
  return null;
}
