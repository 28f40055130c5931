import { afterEach, test } from 'vitest';
import { loseTheDisk } from '../support/lost-disk.ts';
import { Zenith } from '../support/zenith.ts';

let zenith: Zenith | undefined;
afterEach(() => zenith?.destroy());

test('the pageserver lost with its disk: everything comes back from a folder and the safekeepers', async () => {
  zenith = await Zenith.init();
  await loseTheDisk(zenith);
});
