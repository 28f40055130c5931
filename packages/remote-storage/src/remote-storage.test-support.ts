import { randomBytes } from 'node:crypto';
import { CorruptionError, crc32c } from '@zenith/base';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchBytes, fetchObject, fetchRange } from './fetch-object.ts';
import { bytesSource, type ObjectSource } from './object-source.ts';
import type { RemoteStorage } from './remote-storage.ts';

/** A storage to test and how to end it. */
export interface TestedStorage {
  /** The same place each time, a new connection to it: what one has put the other sees. */
  open(): Promise<RemoteStorage>;
  remove(): Promise<void>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const source = (text: string): ObjectSource => bytesSource('test', bytes(text));

/** What every remote storage must do. `make` gives an empty one. */
export function remoteStorageConformance(name: string, make: () => Promise<TestedStorage>): void {
  describe(`remote storage conformance: ${name}`, () => {
    let tested: TestedStorage;
    let storage: RemoteStorage;
    beforeAll(async () => {
      tested = await make();
      storage = await tested.open();
    });
    afterAll(async () => {
      storage.close();
      await tested.remove();
    });
    const read = async (key: string): Promise<string> =>
      new TextDecoder().decode(await fetchBytes(storage, key, 1_000_000));
    const keys = async (prefix: string): Promise<string[]> =>
      (await storage.list(prefix)).objects.map((object) => object.key);

    test('an object that was put can be read, seen and listed by others at once', async () => {
      await storage.put('seen/a', source('first'));
      const other = await tested.open();
      expect(await other.head('seen/a')).toEqual({ key: 'seen/a', length: 5 });
      expect(await other.list('seen/')).toEqual({ objects: [{ key: 'seen/a', length: 5 }], next: undefined });
      expect(new TextDecoder().decode(await fetchBytes(other, 'seen/a', 5))).toBe('first');
      other.close();
    });

    test('a put replaces what there was', async () => {
      await storage.put('replaced', source('a long first content'));
      await storage.put('replaced', source('short'));
      expect(await read('replaced')).toBe('short');
    });

    test('an object may be empty', async () => {
      await storage.put('empty', source(''));
      expect(await read('empty')).toBe('');
      expect(await storage.head('empty')).toEqual({ key: 'empty', length: 0 });
    });

    test('an object of megabytes comes back as it was, whole or any part of it', async () => {
      const content = randomBytes(5_000_001);
      await storage.put('large', bytesSource('large', content));
      expect(Buffer.compare(await fetchBytes(storage, 'large', content.length), content)).toBe(0);
      for (const [start, end] of [
        [0, 1],
        [content.length - 1, content.length],
        [1_234_567, 3_456_789],
      ] as const) {
        const { body, length } = await storage.get('large', { range: { start, end } });
        expect(length).toBe(content.length);
        const chunks: Uint8Array[] = [];
        for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk);
        expect(Buffer.compare(Buffer.concat(chunks), content.subarray(start, end))).toBe(0);
      }
    });

    test.each([
      ['ends within', 1],
      ['ends before', 50],
    ])('an object that %s the range that is read is damaged', async (_, start) => {
      await storage.put('abridged', source('12345'));
      const reading = fetchRange(storage, 'abridged', 100, { start, end: 100 });
      await expect(reading).rejects.toBeInstanceOf(CorruptionError);
      await expect(reading).rejects.toThrow('abridged');
    });

    test('of many who put the same key if it is absent, one succeeds, and its content stands', async () => {
      const results = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) => storage.put('claim/1', source(`writer ${i}`), { ifAbsent: true })),
      );
      const winners = results.flatMap((result, i) => (result.status === 'fulfilled' ? [i] : []));
      expect(winners.length).toBe(1);
      for (const result of results)
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'already-exists' });
      expect(await read('claim/1')).toBe(`writer ${winners[0]}`);
      await expect(storage.put('claim/1', source('later'), { ifAbsent: true })).rejects.toMatchObject({
        code: 'already-exists',
      });
      await storage.delete(['claim/1']);
      await storage.put('claim/1', source('anew'), { ifAbsent: true });
      expect(await read('claim/1')).toBe('anew');
    });

    test('what is not there is not found, and no error to remove', async () => {
      await expect(storage.get('nothing/here')).rejects.toMatchObject({ code: 'not-found' });
      expect(await storage.head('nothing/here')).toBeUndefined();
      expect(await storage.list('nothing/')).toEqual({ objects: [], next: undefined });
      await storage.delete(['nothing/here', 'nothing']);
    });

    test('a listing is in the order of the bytes of the keys, by any prefix, page by page', async () => {
      const all = ['a.x', 'a/b', 'a/b.c/d', 'a/b0', 'a/c/d/e', 'a0', 'ab/c', 'b'].map((key) => `list/${key}`);
      await Promise.all(all.toReversed().map((key) => storage.put(key, source(key))));
      const sorted = all.toSorted();
      expect(await keys('list/')).toEqual(sorted);
      expect(await keys('list/a/b')).toEqual(sorted.filter((key) => key.startsWith('list/a/b')));
      expect(await keys('list/a')).toEqual(sorted.filter((key) => key.startsWith('list/a')));
      for (const limit of [1, 3, sorted.length]) {
        const seen: string[] = [];
        let after: string | undefined;
        do {
          const page = await storage.list('list/', { after, limit });
          expect(page.objects.length).toBeLessThanOrEqual(limit);
          seen.push(...page.objects.map((object) => object.key));
          after = page.next;
        } while (after !== undefined);
        expect(seen).toEqual(sorted);
      }
      expect((await storage.list('list/', { after: 'list/a/b0' })).objects.map((object) => object.key)).toEqual(
        sorted.filter((key) => key > 'list/a/b0'),
      );
    });

    test('a batch is removed, whether all of it is there or not, and nothing else', async () => {
      await Promise.all(['x', 'y', 'z'].map((name) => storage.put(`batch/${name}`, source(name))));
      await storage.delete(['batch/x', 'batch/none', 'batch/z']);
      expect(await keys('batch/')).toEqual(['batch/y']);
    });

    test('a source that breaks off, or is not what it promises, leaves no object and not a changed one', async () => {
      const content = randomBytes(600_000);
      await storage.put('torn/old', source('old'));
      const good = bytesSource('torn', content);
      // oxlint-disable-next-line typescript/require-await -- a stream of one chunk
      const breaking = async function* (): AsyncGenerator<Uint8Array> {
        yield content.subarray(0, 300_000);
        throw new Error('the disk is gone');
      };
      const changed: ObjectSource = { ...good, crc32c: (good.crc32c ^ 1) >>> 0 };
      const short: ObjectSource = { ...good, length: content.length + 1 };
      for (const key of ['torn/new', 'torn/old']) {
        await expect(storage.put(key, { ...good, open: breaking })).rejects.toThrow(/the disk is gone/);
        await expect(storage.put(key, changed)).rejects.toThrow(CorruptionError);
        await expect(storage.put(key, short)).rejects.toThrow(CorruptionError);
      }
      expect(await storage.head('torn/new')).toBeUndefined();
      expect(await read('torn/old')).toBe('old');
    });

    test('an object that is not what is expected is a corruption that names it', async () => {
      await storage.put('expected', source('content'));
      const sink = { begin: () => undefined, write: () => undefined };
      const right = { length: 7, crc32c: crc32c(bytes('content')) };
      await fetchObject(storage, 'expected', right, sink);
      await expect(fetchObject(storage, 'expected', { ...right, length: 8 }, sink)).rejects.toThrow(/expected/);
      await expect(fetchObject(storage, 'expected', { ...right, crc32c: 1 }, sink)).rejects.toThrow(CorruptionError);
      await expect(fetchBytes(storage, 'expected', 6)).rejects.toThrow(CorruptionError);
    });

    test('a signal ends what is under way with its reason', async () => {
      const reason = new Error('enough');
      const gone = AbortSignal.abort(reason);
      await expect(storage.put('signal', source('x'), { signal: gone })).rejects.toBe(reason);
      await expect(storage.get('expected', { signal: gone })).rejects.toBe(reason);
      await expect(storage.head('expected', { signal: gone })).rejects.toBe(reason);
      expect(await storage.head('signal')).toBeUndefined();
      const content = randomBytes(3_000_000);
      await storage.put('signal/large', bytesSource('large', content));
      const abort = new AbortController();
      const { body } = await storage.get('signal/large', { signal: abort.signal });
      const reading = (async () => {
        for await (const chunk of body as AsyncIterable<Uint8Array>) if (chunk.length > 0) abort.abort(reason);
      })();
      await expect(reading).rejects.toBe(reason);
      const stopped = new AbortController();
      const halfway: ObjectSource = {
        ...bytesSource('halfway', content),
        // oxlint-disable-next-line typescript/require-await -- a stream of two chunks
        open: async function* () {
          yield content.subarray(0, 1_000_000);
          stopped.abort(reason);
          yield content.subarray(1_000_000);
        },
      };
      await expect(storage.put('signal/put', halfway, { signal: stopped.signal })).rejects.toBe(reason);
    });
  });
}
