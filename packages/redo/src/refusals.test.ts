import { CorruptionError } from '@zenith/base';
import { allocatePage } from '@zenith/pg-format';
import { expect, test } from 'vitest';
import type { GalleryItem } from './gallery-item.test-support.ts';
import { GALLERY } from './gallery.test-support.ts';
import { redoBlock } from './index.ts';
import { block, record } from './record-builder.test-support.ts';

/** A block that no kind of record has. */
const NO_SUCH_BLOCK = 30;

/** The refusal in words; undefined when the record was applied. */
function refusal({ major = 18, spec }: GalleryItem, blockIndex: number, page: Uint8Array): string | undefined {
  const copy = allocatePage();
  copy.bytes.set(page);
  try {
    redoBlock(major, record(major, spec), blockIndex, copy);
    return undefined;
  } catch (error) {
    if (error instanceof CorruptionError) return error.message;
    throw error;
  }
}

/** Records that do the same to each of their blocks, of which all but the generic ones have one. */
const TREATS_ALL_ALIKE = /^(sequence|generic|heap delete|heap lock|heap confirmation)/;

test.each(GALLERY.filter(({ name }) => !TREATS_ALL_ALIKE.test(name)).map((item) => [item.name, item] as const))(
  '%s: a block that such a record never has is refused',
  (_name, item) => {
    const spec = { ...item.spec, blocks: [...(item.spec.blocks ?? []), block(NO_SUCH_BLOCK, 99)] };
    expect(refusal({ ...item, spec }, NO_SUCH_BLOCK, item.page)).toBeTypeOf('string');
  },
);
