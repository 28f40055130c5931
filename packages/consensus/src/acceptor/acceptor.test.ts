import type { Lsn } from '@zenith/base';
import { describe, expect, test } from 'vitest';
import { nodeId } from '../configuration.ts';
import { AcceptorScript, history, IDENTITY, THREE } from '../simulation/trace.test-support.ts';
import { createControl, startAcceptor } from './state.ts';
import { stepAcceptor } from './step.ts';

function fresh(): AcceptorScript {
  return new AcceptorScript(startAcceptor(nodeId(1), createControl(nodeId(1), IDENTITY, THREE), 100 as Lsn));
}

/** WAL up to `flushLsn`, written as `text` says. */
function loaded(text: string, term: number, flushLsn: number, commitLsn = 100): AcceptorScript {
  const control = {
    ...createControl(nodeId(1), IDENTITY, THREE),
    term,
    history: history(text),
    commitLsn: commitLsn as Lsn,
  };
  return new AcceptorScript(startAcceptor(nodeId(1), control, flushLsn as Lsn));
}

describe('an acceptor', () => {
  test('greets, votes, follows, and acknowledges after the flush only', () => {
    const script = fresh()
      .message(7, { type: 'greeting', identity: IDENTITY, configuration: THREE })
      .vote(7, 1)
      .elected(7, 1, 100, '0@100 1@100')
      .append(7, 1, 100, 100, { probe: true })
      .append(7, 1, 100, 140, { commit: 120 })
      .append(7, 1, 140, 150, { commit: 140, recordEnd: 140 })
      .flushed(150, 140)
      .append(7, 1, 150, 150, { commit: 140, probe: true });
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ greeting g1
        →7 greetingReply g1 term=0
      7→ voteRequest term=1
        persist g1 term=1 history=0@100
        →7 voteReply term=1 granted flush=100 commit=100 horizon=100 history=0@100
      7→ elected term=1 start=100 history=0@100 1@100
        persist g1 term=1 history=0@100 1@100
      7→ append term=1 [100,100) commit=100 horizon=100 probe
        →7 appendReply term=1 write=100 flush=100 commit=100
      7→ append term=1 [100,140) commit=120 horizon=100
        write [100,140)
        request flush
      7→ append term=1 [140,150) commit=140 horizon=100
        write [140,150)
        request flush
      flushed 150 140
        commit 140
        →7 appendReply term=1 write=150 flush=140 commit=140
      7→ append term=1 [150,150) commit=140 horizon=100 probe
        →7 appendReply term=1 write=150 flush=140 commit=140
      "
    `);
  });

  test('votes once a term, and tells the leader that a higher term ends', () => {
    const script = loaded('0@100 1@100', 1, 140)
      .elected(7, 1, 140, '0@100 1@100')
      .vote(8, 2)
      .vote(9, 2)
      .vote(9, 1)
      .append(7, 1, 140, 150);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ elected term=1 start=140 history=0@100 1@100
        persist g1 term=1 history=0@100 1@100
      8→ voteRequest term=2
        persist g1 term=2 history=0@100 1@100
        →7 appendReply term=2 write=140 flush=140 commit=100
        →8 voteReply term=2 granted flush=140 commit=100 horizon=100 history=0@100 1@100
      9→ voteRequest term=2
        →9 voteReply term=2 refused flush=140 commit=100 horizon=100 history=0@100 1@100
      9→ voteRequest term=1
        →9 voteReply term=2 refused flush=140 commit=100 horizon=100 history=0@100 1@100
      7→ append term=1 [140,150) commit=100 horizon=100
        →7 appendReply term=2 write=140 flush=140 commit=100
      "
    `);
  });

  test('syncs before it votes, so that what it reports is stable', () => {
    const script = loaded('0@100 1@100', 1, 140)
      .elected(7, 1, 140, '0@100 1@100')
      .append(7, 1, 140, 170, { recordEnd: 160, commit: 150 })
      .vote(8, 2);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ elected term=1 start=140 history=0@100 1@100
        persist g1 term=1 history=0@100 1@100
      7→ append term=1 [140,170) commit=150 horizon=100
        write [140,170)
        request flush
        commit 140
      8→ voteRequest term=2
        sync
        commit 150
        persist g1 term=2 history=0@100 1@100
        →7 appendReply term=2 write=170 flush=160 commit=150
        →8 voteReply term=2 granted flush=160 commit=150 horizon=100 history=0@100 1@100
      "
    `);
    expect(script.state.syncedLsn).toBe(170);
  });

  test('cuts its WAL at the common point before it takes over the history', () => {
    const script = loaded('0@100 1@100 2@140', 2, 180, 120).elected(7, 3, 140, '0@100 1@100 3@160');
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ elected term=3 start=140 history=0@100 1@100 3@160
        persist g1 term=3 history=0@100 1@100 2@140
        persist g1 term=3 history=0@100 1@100 2@140 pending=140
        truncate 140
        persist g1 term=3 history=0@100 1@100 3@160
      "
    `);
    expect(script.state.writeLsn).toBe(140);
  });

  test('drops the torn rest of a record when the same leader comes back', () => {
    const script = loaded('0@100 1@100', 1, 140)
      .elected(7, 1, 140, '0@100 1@100')
      .append(7, 1, 140, 175, { recordEnd: 160 })
      .flushed(175, 160)
      .disconnected(7)
      .elected(8, 1, 160, '0@100 1@100');
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ elected term=1 start=140 history=0@100 1@100
        persist g1 term=1 history=0@100 1@100
      7→ append term=1 [140,175) commit=100 horizon=100
        write [140,175)
        request flush
      flushed 175 160
        →7 appendReply term=1 write=175 flush=160 commit=100
      7 gone
      8→ elected term=1 start=160 history=0@100 1@100
        persist g1 term=1 history=0@100 1@100 pending=160
        truncate 160
        persist g1 term=1 history=0@100 1@100
      "
    `);
  });

  test('refuses a start that is not the common point, and one that would drop committed WAL', () => {
    const script = loaded('0@100 1@100 2@140', 2, 180, 160)
      .elected(7, 3, 180, '0@100 1@100 3@160')
      .elected(7, 3, 140, '0@100 1@100 3@160');
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ elected term=3 start=180 history=0@100 1@100 3@160
        persist g1 term=3 history=0@100 1@100 2@140
        reject 7 wrong-start: the common WAL ends at 0/8C, the proposer says 0/B4
      7→ elected term=3 start=140 history=0@100 1@100 3@160
        reject 7 committed-wal: truncation to 0/8C would drop WAL committed up to 0/A0
      "
    `);
    expect(script.state.writeLsn).toBe(180);
  });

  test('refuses a history that gives a known term another start', () => {
    const script = loaded('0@100 1@120', 1, 180).elected(7, 2, 180, '0@100 1@100 2@180');
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ elected term=2 start=180 history=0@100 1@100 2@180
        reject 7 conflicting-history: the history of term 2 contradicts the one known here
      "
    `);
  });

  test('takes WAL from the connection of the leader only, without gaps, of its term only', () => {
    const script = loaded('0@100 1@100', 1, 140)
      .append(7, 1, 140, 150)
      .vote(7, 2)
      .append(7, 2, 140, 150)
      .elected(7, 2, 140, '0@100 1@100 2@140')
      .append(8, 2, 140, 150)
      .append(7, 2, 150, 160)
      .append(7, 3, 140, 150)
      .append(7, 1, 140, 150);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ append term=1 [140,150) commit=100 horizon=100
        reject 7 not-elected: WAL of term 1 without its Elected on this connection
      7→ voteRequest term=2
        persist g1 term=2 history=0@100 1@100
        →7 voteReply term=2 granted flush=140 commit=100 horizon=100 history=0@100 1@100
      7→ append term=2 [140,150) commit=100 horizon=100
        reject 7 not-elected: WAL of term 2 without its Elected on this connection
      7→ elected term=2 start=140 history=0@100 1@100 2@140
        persist g1 term=2 history=0@100 1@100 2@140
      8→ append term=2 [140,150) commit=100 horizon=100
        reject 8 not-elected: WAL of term 2 without its Elected on this connection
      7→ append term=2 [150,160) commit=100 horizon=100
        reject 7 not-contiguous: WAL at 0/96 while 0/8C is next
      7→ append term=3 [140,150) commit=100 horizon=100
        reject 7 not-elected: WAL of term 3 without its Elected on this connection
      7→ append term=1 [140,150) commit=100 horizon=100
        →7 appendReply term=2 write=140 flush=140 commit=100
      "
    `);
  });

  test('advances the commit point up to its own flush only, and never back', () => {
    const script = loaded('0@100 1@100', 1, 140)
      .elected(7, 1, 140, '0@100 1@100')
      .append(7, 1, 140, 140, { commit: 500 })
      .append(7, 1, 140, 200, { commit: 120 })
      .flushed(200, 200);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ elected term=1 start=140 history=0@100 1@100
        persist g1 term=1 history=0@100 1@100
      7→ append term=1 [140,140) commit=500 horizon=100
        commit 140
      7→ append term=1 [140,200) commit=120 horizon=100
        write [140,200)
        request flush
      flushed 200 200
        commit 200
        →7 appendReply term=1 write=200 flush=200 commit=200
      "
    `);
  });

  test('reports only the history its WAL has reached', () => {
    const script = loaded('0@100 1@100 2@140 3@200', 3, 160).vote(7, 4);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ voteRequest term=4
        persist g1 term=4 history=0@100 1@100 2@140 3@200
        →7 voteReply term=4 granted flush=160 commit=100 horizon=100 history=0@100 1@100 2@140
      "
    `);
  });

  test.each([
    ['tenant', { ...IDENTITY, tenant: 'c'.repeat(32) as typeof IDENTITY.tenant }],
    ['timeline', { ...IDENTITY, timeline: 'c'.repeat(32) as typeof IDENTITY.timeline }],
    ['pgMajor', { ...IDENTITY, pgMajor: 17 }],
    ['systemId', { ...IDENTITY, systemId: '8' as typeof IDENTITY.systemId }],
    ['segmentSize', { ...IDENTITY, segmentSize: 1024 * 1024 }],
    ['timelineStartLsn', { ...IDENTITY, timelineStartLsn: 108 as Lsn }],
  ])('refuses a greeting with another %s', (field, identity) => {
    const script = fresh().message(7, { type: 'greeting', identity, configuration: THREE });
    expect(script.trace).toContain(`reject 7 identity-mismatch: this timeline has ${field}`);
  });

  test('adopts a higher configuration it is in, and ends the leader of the lower one', () => {
    const next = { generation: 2, members: THREE.members, newMembers: [nodeId(1), nodeId(4)] };
    const without = { generation: 3, members: [nodeId(4)], newMembers: null };
    const script = loaded('0@100 1@100', 1, 140)
      .elected(7, 1, 140, '0@100 1@100')
      .message(8, { type: 'greeting', identity: IDENTITY, configuration: next })
      .message(9, { type: 'greeting', identity: IDENTITY, configuration: without })
      .append(7, 1, 140, 150)
      .vote(7, 2);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ elected term=1 start=140 history=0@100 1@100
        persist g1 term=1 history=0@100 1@100
      8→ greeting g2
        persist g2 term=1 history=0@100 1@100
        →8 greetingReply g2 term=1
      9→ greeting g3
        →9 greetingReply g2 term=1
      7→ append term=1 [140,150) commit=100 horizon=100
        reject 7 generation-mismatch: this safekeeper is in configuration 2, the proposer in 1
      7→ voteRequest term=2
        reject 7 generation-mismatch: this safekeeper is in configuration 2, the proposer in 1
      "
    `);
  });

  test('never starts with less WAL than it committed', () => {
    const control = { ...createControl(nodeId(1), IDENTITY, THREE), commitLsn: 140 as Lsn };
    expect(() => startAcceptor(nodeId(1), control, 120 as Lsn)).toThrow('committed WAL is on disk');
  });
});

test('an acceptor lets go of WAL only where it is archived, ingested and committed, and says so durably', () => {
  const control = {
    ...createControl(nodeId(1), IDENTITY, THREE),
    commitLsn: 180 as Lsn,
    backupLsn: 160 as Lsn,
    remoteConsistentLsn: 170 as Lsn,
  };
  const state = startAcceptor(nodeId(1), control, 200 as Lsn);
  const trimmed = stepAcceptor(state, { type: 'trim', localStartLsn: 160 as Lsn });
  expect(trimmed.effects).toEqual([{ type: 'persistControl', control: { ...control, localStartLsn: 160 } }]);
  expect(stepAcceptor(trimmed.state, { type: 'trim', localStartLsn: 150 as Lsn }).effects).toEqual([]);
  expect(() => stepAcceptor(state, { type: 'trim', localStartLsn: 161 as Lsn })).toThrow(/archived, ingested/);
});
