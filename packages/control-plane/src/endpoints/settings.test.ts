import { expect, test } from 'vitest';
import { checkEndpointSettings, parseSettings } from './settings.ts';

test('settings are read; the last of a name wins, values keep what follows the first =', () => {
  expect(parseSettings(['work_mem=4MB', 'Work_Mem=8MB', 'search_path=a, b', 'app.x=a=b', 'empty='])).toEqual({
    work_mem: '8MB',
    search_path: 'a, b',
    'app.x': 'a=b',
    empty: '',
  });
});

test.each(['work_mem', '=4MB', ''])('%j is no setting', (text) => {
  expect(() => parseSettings([text])).toThrow('write NAME=VALUE');
});

test('a setting the compute needs for itself is refused as an invalid setting', async () => {
  await expect(checkEndpointSettings({ fsync: 'on' })).rejects.toMatchObject({ code: 'invalid-setting' });
  await expect(checkEndpointSettings({ work_mem: '4MB' })).resolves.toBeUndefined();
});
