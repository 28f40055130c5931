import { nodeId } from '@zenith/consensus';
import { describe, expect, test } from 'vitest';
import type { SafekeepersRecord } from '../metadata/records.ts';
import { membersAfter, stageOf, type MemberChange } from './member-change.ts';

/** A record of safekeepers 1 to `nodes`. */
function record(nodes: number, members: readonly number[], newMembers: readonly number[] | null): SafekeepersRecord {
  const ids = Array.from({ length: nodes }, (_, i) => nodeId(i + 1));
  return {
    nodes: ids.map((id) => ({ id, port: 1000 + id, httpPort: 2000 + id })),
    configuration: { generation: 5, members: members.map(nodeId), newMembers: newMembers?.map(nodeId) ?? null },
    lastId: nodes,
  };
}

const add: MemberChange = { kind: 'add' };
const remove = (id: number): MemberChange => ({ kind: 'remove', id: nodeId(id) });
const replace = (id: number): MemberChange => ({ kind: 'replace', id: nodeId(id) });

describe('a change of the members', () => {
  test('begins with a safekeeper to be made, or with one that an earlier command made', () => {
    expect(stageOf(record(3, [1, 2, 3], null), add)).toEqual({ kind: 'to-begin', added: undefined });
    expect(stageOf(record(4, [1, 2, 3], null), replace(2))).toMatchObject({ kind: 'to-begin', added: { id: 4 } });
    expect(stageOf(record(4, [1, 2, 3], null), remove(2))).toEqual({ kind: 'to-begin', added: undefined });
  });

  test.each<[MemberChange, number[], number[]]>([
    [add, [1, 2, 3], [1, 2, 3, 4]],
    [remove(1), [1, 2, 3], [2, 3]],
    [replace(3), [1, 2, 3], [1, 2, 4]],
  ])('%j goes on where it was broken off, and no other change does', (change, members, newMembers) => {
    const begun = record(4, members, newMembers);
    expect(stageOf(begun, change)).toEqual({ kind: 'joint', joint: begun.configuration });
    for (const other of [add, remove(1), remove(2), replace(2), replace(3)]) {
      if (JSON.stringify(other) === JSON.stringify(change)) continue;
      expect(() => stageOf(begun, other)).toThrow(expect.objectContaining({ code: 'members-changing' }));
    }
  });

  test('is over, but for what is left of the safekeeper that went', () => {
    expect(stageOf(record(4, [2, 3, 4], null), replace(1))).toEqual({ kind: 'to-tidy' });
    expect(stageOf(record(4, [2, 3, 4], null), remove(1))).toEqual({ kind: 'to-tidy' });
  });

  test('is refused for a safekeeper that does not exist, for the last one, and for one too many', () => {
    expect(() => stageOf(record(3, [1, 2, 3], null), remove(9))).toThrow(
      expect.objectContaining({ code: 'no-such-safekeeper' }),
    );
    expect(() => stageOf(record(1, [1], null), remove(1))).toThrow(
      expect.objectContaining({ code: 'last-safekeeper' }),
    );
    expect(() => stageOf(record(7, [1, 2, 3, 4, 5, 6, 7], null), add)).toThrow(
      expect.objectContaining({ code: 'invalid-option' }),
    );
  });

  test('says who the members are afterwards', () => {
    const members = [1, 2, 3].map(nodeId);
    expect(membersAfter(members, add, nodeId(4))).toEqual([1, 2, 3, 4]);
    expect(membersAfter(members, remove(1), undefined)).toEqual([2, 3]);
    expect(membersAfter(members, replace(2), nodeId(4))).toEqual([1, 3, 4]);
  });
});
