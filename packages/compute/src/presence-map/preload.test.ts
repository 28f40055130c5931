import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { preloadFolder } from './overlay.test-support.ts';

it('passes its own tests in C, with concurrent processes killed at any moment', { timeout: 180_000 }, () => {
  const result = spawnSync('make', ['-s', '-C', preloadFolder, 'test'], { encoding: 'utf8' });
  expect(result).toMatchObject({ status: 0, stdout: expect.not.stringMatching(/^FAILED/m) });
  expect(result.stdout.match(/^ok {5}torture$/gm)).toHaveLength(6);
});
