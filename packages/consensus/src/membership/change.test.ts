import type { Lsn } from '@zenith/base';
import { describe, expect, test } from 'vitest';
import { createControl, startAcceptor } from '../acceptor/state.ts';
import { nodeId, type Configuration } from '../configuration.ts';
import { AcceptorScript, history, IDENTITY, THREE } from '../simulation/trace.test-support.ts';
import {
  abortedConfiguration,
  finalConfiguration,
  isSynced,
  jointConfiguration,
  syncPoint,
  type ConfiguredReport,
} from './change.ts';

const joint = jointConfiguration(THREE, [nodeId(1), nodeId(2), nodeId(4)]);

function report(
  node: number,
  term: number,
  lastTerm: number,
  flushLsn: number,
  configuration: Configuration = joint,
): ConfiguredReport {
  return { node: nodeId(node), configuration, term, position: { lastTerm, flushLsn: flushLsn as Lsn } };
}

describe('a change of members', () => {
  test('goes through a configuration in which old and new decide together, each step a generation', () => {
    expect(joint).toEqual({ generation: 2, members: [1, 2, 3], newMembers: [1, 2, 4] });
    expect(finalConfiguration(joint)).toEqual({ generation: 3, members: [1, 2, 4], newMembers: null });
    expect(abortedConfiguration(joint)).toEqual({ generation: 3, members: [1, 2, 3], newMembers: null });
  });

  test('has a sync point once a quorum of the old members is in the joint configuration: the most advanced WAL, the highest term', () => {
    expect(syncPoint(joint, [report(1, 5, 3, 200), report(4, 9, 9, 900)])).toBeNull();
    expect(syncPoint(joint, [report(1, 5, 3, 200), report(2, 4, 4, 150, THREE)])).toBeNull();
    expect(syncPoint(joint, [report(1, 5, 3, 200), report(2, 4, 4, 150)])).toEqual({
      term: 5,
      position: { lastTerm: 4, flushLsn: 150 },
    });
  });

  test('may end once a quorum of the new members is there, in position and in term', () => {
    const point = { term: 5, position: { lastTerm: 4, flushLsn: 150 as Lsn } };
    expect(isSynced(joint, point, [report(1, 5, 4, 150), report(3, 5, 4, 150)])).toBe(false);
    expect(isSynced(joint, point, [report(1, 5, 4, 150), report(4, 5, 3, 900)])).toBe(false);
    expect(isSynced(joint, point, [report(1, 5, 4, 150), report(4, 4, 4, 150)])).toBe(false);
    expect(isSynced(joint, point, [report(1, 5, 4, 150), report(4, 5, 4, 149)])).toBe(false);
    expect(isSynced(joint, point, [report(1, 5, 4, 150), report(4, 6, 6, 100)])).toBe(true);
  });
});

test('an acceptor says where it is from stable storage, in the configuration and the term it was given', () => {
  const control = createControl(nodeId(1), IDENTITY, THREE);
  const script = new AcceptorScript(startAcceptor(nodeId(1), control, 100 as Lsn))
    .vote(7, 1)
    .elected(7, 1, 100, '0@100 1@100')
    .append(7, 1, 100, 140, { recordEnd: 130 })
    .configure(joint, 4)
    .configure(THREE);
  expect(script.trace.slice(script.trace.indexOf('configure g2'))).toBe(`configure g2 term=4
  sync
  persist g2 term=1 history=0@100 1@100
  persist g2 term=4 history=0@100 1@100
  configured g2 term=4 position=1@130
configure g1 term=0
  configured g2 term=4 position=1@130
`);
  expect(script.state).toMatchObject({ leader: null, flushLsn: 130 });
  expect(history('0@100 1@100')).toEqual(script.state.control.history);
});
