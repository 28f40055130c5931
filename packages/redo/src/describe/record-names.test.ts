import { PG_MAJORS } from '@zenith/pg-format';
import { expect, it } from 'vitest';
import { recordNames } from './record-names.ts';

it('names every kind of record of each version once', () => {
  for (const major of PG_MAJORS) {
    const names = recordNames(major);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('HEAP/INSERT');
    expect(names.includes('HEAP2/PRUNE_ON_ACCESS')).toBe(major >= 17);
    expect(names.includes('HEAP2/FREEZE_PAGE')).toBe(major < 17);
  }
});
