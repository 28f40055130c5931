import { expect, test } from 'vitest';
import type { MetadataStore } from './metadata-store.ts';

/**
 * What every metadata store must do.
 * @param open opens the one store of the test that runs; called twice in a test it gives two clients of the same store
 */
export function metadataStoreConformance(open: () => MetadataStore): void {
  test('an empty store has no entries', async () => {
    expect(await open().list('')).toEqual([]);
    expect(await open().get('branch/main')).toBeUndefined();
  });

  test('what was put is read back by another client', async () => {
    const value = { timeline: 'ab', list: [1, 2.5, null, true, 'ü'], nested: { a: '' } };
    expect(await open().commit({ expect: [], put: [{ key: 'branch/main', value }] })).toBe(true);
    expect(await open().get('branch/main')).toEqual({ key: 'branch/main', value, revision: 1 });
  });

  test('a listing is sorted and holds exactly the keys with the prefix', async () => {
    const keys = ['branch/b', 'branch/a', 'branchy', 'endpoint/a', 'branch/B', 'branch/a2'];
    await open().commit({ expect: [], put: keys.map((key) => ({ key, value: key })) });
    expect((await open().list('branch/')).map((entry) => entry.key)).toEqual([
      'branch/B',
      'branch/a',
      'branch/a2',
      'branch/b',
    ]);
  });

  test('an expectation of absence holds once', async () => {
    const transaction = { expect: [{ key: 'k', revision: 0 }], put: [{ key: 'k', value: 'first' }] };
    expect(await open().commit(transaction)).toBe(true);
    expect(await open().commit({ ...transaction, put: [{ key: 'k', value: 'second' }] })).toBe(false);
    expect((await open().get('k'))?.value).toBe('first');
  });

  test('a transaction with one wrong expectation changes nothing', async () => {
    const store = open();
    await store.commit({
      expect: [],
      put: [
        { key: 'a', value: 1 },
        { key: 'b', value: 1 },
      ],
    });
    const revision = (await store.get('a'))?.revision ?? -1;
    const applied = await store.commit({
      expect: [
        { key: 'a', revision },
        { key: 'b', revision: revision + 1 },
      ],
      put: [{ key: 'a', value: 2 }],
      remove: ['b'],
    });
    expect(applied).toBe(false);
    expect((await store.list('')).map(({ key, value }) => [key, value])).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
  });

  test('a key that was removed and put again has a new revision', async () => {
    const store = open();
    await store.commit({ expect: [], put: [{ key: 'k', value: 1 }] });
    const before = (await store.get('k'))?.revision ?? 0;
    await store.commit({ expect: [{ key: 'k', revision: before }], remove: ['k', 'never-there'] });
    expect(await store.get('k')).toBeUndefined();
    await store.commit({ expect: [{ key: 'k', revision: 0 }], put: [{ key: 'k', value: 1 }] });
    expect((await store.get('k'))?.revision).toBeGreaterThan(before);
  });

  test('of concurrent increments none is lost', async () => {
    const increment = async (): Promise<void> => {
      const store = open();
      for (;;) {
        const entry = await store.get('counter');
        const value = typeof entry?.value === 'number' ? entry.value : 0;
        if (
          await store.commit({
            expect: [{ key: 'counter', revision: entry?.revision ?? 0 }],
            put: [{ key: 'counter', value: value + 1 }],
          })
        )
          return;
      }
    };
    await Promise.all(Array.from({ length: 12 }, increment));
    expect((await open().get('counter'))?.value).toBe(12);
  });
}
