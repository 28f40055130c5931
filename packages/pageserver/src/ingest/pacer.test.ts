import { expect, test } from 'vitest';
import { Pacer, type PacerLoad } from './pacer.ts';

test('slices are shorter while pages are read, and as long as before once nobody does', async () => {
  let time = 0;
  let pagesRead = 0;
  const load: PacerLoad = {
    get pagesRead() {
      return pagesRead;
    },
    backpressure: () => undefined,
  };
  const pacer = new Pacer(() => time, load);
  /** How long the slice that has just begun lasts. Unit: µs. */
  const slice = async (): Promise<number> => {
    for (let us = 0; ; us++) {
      const pause = pacer.pause();
      if (pause !== undefined) {
        await pause;
        return us;
      }
      time += 0.001;
    }
  };
  expect(await slice()).toBeCloseTo(100, -1);
  pagesRead++;
  expect(await slice()).toBeCloseTo(100, -1);
  pagesRead++;
  expect(await slice()).toBeCloseTo(30, -1);
  expect(await slice()).toBeCloseTo(30, -1);
  expect(await slice()).toBeCloseTo(100, -1);
});
