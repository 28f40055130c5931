import { expect, test } from 'vitest';
import { makeVariable } from './contrib.ts';

test('the words of a variable are read over continued lines, without references', () => {
  const makefile = 'REGRESS_OPTS = --load-extension=hstore\nREGRESS = a b \\\n  c $(OTHER) \\\n\td\nISOLATION = x\n';
  expect(makeVariable(makefile, 'REGRESS')).toEqual(['a', 'b', 'c', 'd']);
  expect(makeVariable(makefile, 'ISOLATION')).toEqual(['x']);
  expect(makeVariable(makefile, 'REGRESS_OPTS')).toEqual(['--load-extension=hstore']);
  expect(makeVariable(makefile, 'NOTHING')).toEqual([]);
});
