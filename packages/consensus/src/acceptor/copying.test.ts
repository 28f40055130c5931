import { AssertionError, type Lsn, type TimelineId } from '@zenith/base';
import { describe, expect, test } from 'vitest';
import { nodeId } from '../configuration.ts';
import { AcceptorScript, history, IDENTITY, THREE } from '../simulation/trace.test-support.ts';
import { committedWal } from './copy-rule.ts';
import { createControl, startAcceptor } from './state.ts';

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

describe("another acceptor's committed WAL", () => {
  test('is copied, counts as committed when it is durable, and brings its terms', () => {
    const script = loaded('0@100 1@100', 1, 140)
      .follow('0@100 1@100 3@150', 180)
      .copied(140, 170, 160)
      .copied(170, 180)
      .flushed(170, 160)
      .flushed(180, 180)
      .vote(8, 3);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      follow 0@100 1@100 3@150 commit=180
        persist g1 term=3 history=0@100 1@100 3@150
        commit 140
        followed: copy
      copied [140,170)
        write [140,170)
        request flush
      copied [170,180)
        write [170,180)
        request flush
      flushed 170 160
        commit 160
      flushed 180 180
        commit 180
      8→ voteRequest term=3
        →8 voteReply term=3 refused flush=180 commit=180 horizon=100 history=0@100 1@100 3@150
      "
    `);
    expect(script.state).toMatchObject({ flushLsn: 180, leader: null, control: { term: 3, commitLsn: 180 } });
  });

  test('tells that what is here is committed, when there is nothing to copy', () => {
    const script = loaded('0@100 1@100', 1, 140).follow('0@100 1@100', 140);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      follow 0@100 1@100 commit=140
        persist g1 term=1 history=0@100 1@100
        commit 140
        followed: copy
      "
    `);
  });

  test('comes after the last whole record: what is behind it is made durable, or cut off', () => {
    const script = loaded('0@100 1@100', 1, 140)
      .elected(7, 1, 140, '0@100 1@100')
      .append(7, 1, 140, 165, { recordEnd: 160 })
      .disconnected(7)
      .follow('0@100 1@100', 180)
      .copied(160, 180);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      7→ elected term=1 start=140 history=0@100 1@100
        persist g1 term=1 history=0@100 1@100
      7→ append term=1 [140,165) commit=100 horizon=100
        write [140,165)
        request flush
      7 gone
      follow 0@100 1@100 commit=180
        sync
        persist g1 term=1 history=0@100 1@100 pending=160
        truncate 160
        persist g1 term=1 history=0@100 1@100
        commit 160
        followed: copy
      copied [160,180)
        write [160,180)
        request flush
      "
    `);
  });

  test('keeps the promise of a vote: the own term stays', () => {
    const script = loaded('0@100 1@100', 7, 140).follow('0@100 1@100 3@150', 180).copied(140, 180).vote(8, 7);
    expect(script.state.control).toMatchObject({ term: 7, history: history('0@100 1@100 3@150') });
  });

  test('is taken when a leader began right at the end of what is here, and when its WAL never came', () => {
    expect(loaded('0@100 1@100', 1, 140).follow('0@100 1@100 2@140', 140).state.control.commitLsn).toBe(140);
    expect(
      loaded('0@100 1@100 2@160', 2, 140).follow('0@100 1@100 2@160 3@160', 160).copied(140, 160).state.writeLsn,
    ).toBe(160);
  });

  test.each([
    [
      'from another timeline',
      'another-timeline',
      (one: AcceptorScript) => one.follow('0@100 1@100', 180, { ...IDENTITY, timeline: 'c'.repeat(32) as TimelineId }),
    ],
    ['with a history of no right form', 'another-timeline', (one: AcceptorScript) => one.follow('1@140 0@100', 180)],
    [
      'while a proposer leads',
      'led',
      (one: AcceptorScript) => one.elected(7, 1, 140, '0@100 1@100').follow('0@100 1@100', 180),
    ],
    ['that ends before what is here', 'nothing-more', (one: AcceptorScript) => one.follow('0@100 1@100', 130)],
    [
      'of which all is known here',
      'nothing-more',
      (one: AcceptorScript) => one.follow('0@100 1@100', 140).follow('0@100 1@100', 140),
    ],
    [
      'that went another way before the end of what is here',
      'diverged',
      (one: AcceptorScript) => one.follow('0@100 1@100 2@130', 180),
    ],
    [
      "that went another way right from an end which is known as a leader's here",
      'diverged',
      () => loaded('0@100 1@100 2@140', 2, 140).follow('0@100 1@100 3@140', 180),
    ],
    ['that gives a term another start', 'diverged', (one: AcceptorScript) => one.follow('0@100 1@120', 180)],
  ])('is not taken %s', (_what, verdict, play) => {
    const script = play(loaded('0@100 1@100', 1, 140));
    expect(script.trace.trimEnd().split('\n').at(-1)).toBe(`  followed: ${verdict}`);
    expect(() => script.copied(140, 150)).toThrow(AssertionError);
  });

  test('is no longer taken once a candidate has been told where the WAL here ends, or a leader has come', () => {
    const voted = loaded('0@100 1@100', 1, 140).follow('0@100 1@100', 180).copied(140, 150).vote(8, 2);
    expect(() => voted.copied(150, 180)).toThrow(AssertionError);
    const led = loaded('0@100 1@100', 1, 140)
      .follow('0@100 1@100', 180)
      .vote(8, 2)
      .elected(8, 2, 140, '0@100 1@100 2@180')
      .disconnected(8);
    expect(() => led.copied(140, 180)).toThrow(AssertionError);
  });

  test('is no longer taken once a candidate, or a leader that comes back, has been told in the own term where the WAL here ends', () => {
    const script = loaded('0@100 1@100', 2, 140).follow('0@100 1@100', 180).copied(140, 150).vote(8, 2);
    expect(() => script.copied(150, 160)).toThrow(AssertionError);
  });

  test('is not taken under the history of a leader that came and went meanwhile', () => {
    const script = loaded('0@100 1@100', 1, 140).follow('0@100 1@100', 180);
    script.vote(8, 2).elected(8, 2, 140, '0@100 1@100 2@140').append(8, 2, 140, 140, { commit: 180 }).disconnected(8);
    expect(() => script.copied(140, 180)).toThrow(AssertionError);
  });

  test('ends where it was committed, whatever a leader said before', () => {
    const script = loaded('0@100 1@100', 1, 140)
      .elected(7, 1, 140, '0@100 1@100')
      .append(7, 1, 140, 140, { commit: 200 })
      .disconnected(7)
      .follow('0@100 1@100', 180);
    expect(() => script.copied(140, 190)).toThrow(AssertionError);
    expect(script.copied(140, 180).state.writeLsn).toBe(180);
  });

  test('that is asked for while a proposer leads leaves its WAL as it is', () => {
    const script = loaded('0@100 1@100', 1, 140).elected(7, 1, 140, '0@100 1@100').append(7, 1, 140, 160);
    const { state } = script;
    expect(script.follow('0@100 1@100', 180).state).toBe(state);
  });

  test('has the leader that was elected before it came ask again', () => {
    const script = loaded('0@100 1@100', 1, 140)
      .vote(8, 2)
      .follow('0@100 1@100', 180)
      .copied(140, 180)
      .flushed(180, 180)
      .elected(8, 2, 140, '0@100 1@100 2@180');
    expect(script.trace.trimEnd().split('\n').at(-1)).toContain('reject 8 wrong-start');
    expect(script.elected(9, 2, 180, '0@100 1@100 2@180').state.leader).toBe(9);
  });

  test('is not taken beyond what is committed, nor with a gap', () => {
    const script = loaded('0@100 1@100', 1, 140).follow('0@100 1@100', 180);
    expect(() => script.copied(140, 181)).toThrow(AssertionError);
    expect(() => script.copied(141, 180)).toThrow(AssertionError);
  });
});

test('what is committed of a WAL does not have the terms behind', () => {
  const control = {
    ...createControl(nodeId(1), IDENTITY, THREE),
    history: history('0@100 1@100 2@140 3@141'),
    commitLsn: 140 as Lsn,
  };
  expect(committedWal(control)).toEqual({ identity: IDENTITY, history: history('0@100 1@100 2@140'), commitLsn: 140 });
});
