import type { Lsn } from '@zenith/base';
import { describe, expect, test } from 'vitest';
import { nodeId } from '../configuration.ts';
import { figure8 } from '../simulation/figure-8.test-support.ts';
import { IDENTITY, ProposerScript, THREE } from '../simulation/trace.test-support.ts';
import { startProposer, type ProposerOptions } from './state.ts';

function proposer(options: Partial<ProposerOptions> = {}): ProposerScript {
  return new ProposerScript(
    startProposer({
      identity: IDENTITY,
      configuration: THREE,
      mode: 'lead',
      expectedStartLsn: null,
      appendBytesMax: 50,
      inflightBytesMax: 100,
      coalesceBytesMax: 0,
      ...options,
    }),
  );
}

/** Leads term 1 on top of nothing, with safekeepers 1 and 2; its start is committed. */
function leader(options: Partial<ProposerOptions> = {}): ProposerScript {
  const script = proposer(options)
    .connected(1, 2)
    .greeted(1, 0)
    .greeted(2, 0)
    .voted(1, 1, 100, '0@100')
    .voted(2, 1, 100, '0@100')
    .acknowledged(1, 1, 100)
    .acknowledged(2, 1, 100);
  return new ProposerScript(script.state);
}

describe('a proposer', () => {
  test('greets, is elected by a quorum, takes the most advanced voter as donor, and settles the start', () => {
    const script = proposer()
      .connected(1, 2, 3)
      .greeted(1, 4)
      .greeted(3, 5)
      .voted(1, 6, 180, '0@100 4@120')
      .voted(3, 6, 160, '0@100 5@140')
      .greeted(2, 4)
      .voted(2, 6, 100, '0@100')
      .acknowledged(3, 6, 160)
      .acknowledged(1, 6, 120)
      .acknowledged(1, 6, 160);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      1 connected
        →1 greeting g1
      2 connected
        →2 greeting g1
      3 connected
        →3 greeting g1
      1→ greetingReply g1 term=4
      3→ greetingReply g1 term=5
        →1 voteRequest term=6
        →3 voteRequest term=6
      1→ voteReply term=6 granted flush=180 commit=100 horizon=100 history=0@100 4@120
      3→ voteReply term=6 granted flush=160 commit=100 horizon=100 history=0@100 5@140
        elected term=6 start=160 donor=3 history=0@100 5@140 6@160
        →1 elected term=6 start=120 history=0@100 5@140 6@160
        →1 append term=6 [120,120) commit=100 horizon=100 probe
        →1 append term=6 [120,160) commit=100 horizon=100 from donor 3
        →3 elected term=6 start=160 history=0@100 5@140 6@160
        →3 append term=6 [160,160) commit=100 horizon=100 probe
      2→ greetingReply g1 term=4
        →2 voteRequest term=6
      2→ voteReply term=6 granted flush=100 commit=100 horizon=100 history=0@100
        →2 elected term=6 start=100 history=0@100 5@140 6@160
        →2 append term=6 [100,100) commit=100 horizon=100 probe
        →2 append term=6 [100,150) commit=100 horizon=100 from donor 3
        →2 append term=6 [150,160) commit=100 horizon=100 from donor 3
      3→ appendReply term=6 write=160 flush=160 commit=100
      1→ appendReply term=6 write=120 flush=120 commit=100
      1→ appendReply term=6 write=160 flush=160 commit=100
        commit 160
        synced 160
        →1 append term=6 [160,160) commit=160 horizon=100
        →3 append term=6 [160,160) commit=160 horizon=100
      "
    `);
  });

  test('streams within the window, and commits what a quorum has', () => {
    const script = leader()
      .wal(130)
      .acknowledged(1, 1, 130)
      .acknowledged(2, 1, 120, 130)
      .acknowledged(2, 1, 130)
      .wal(300)
      .acknowledged(1, 1, 150, 180);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      wal 130
        →1 append term=1 [100,130) commit=100 horizon=100
        →2 append term=1 [100,130) commit=100 horizon=100
      1→ appendReply term=1 write=130 flush=130 commit=100
      2→ appendReply term=1 write=130 flush=120 commit=100
        commit 120
        →1 append term=1 [130,130) commit=120 horizon=100
        →2 append term=1 [130,130) commit=120 horizon=100
      2→ appendReply term=1 write=130 flush=130 commit=100
        commit 130
        →1 append term=1 [130,130) commit=130 horizon=100
        →2 append term=1 [130,130) commit=130 horizon=100
      wal 300
        →1 append term=1 [130,180) commit=130 horizon=100
        →1 append term=1 [180,230) commit=130 horizon=100
        →2 append term=1 [130,180) commit=130 horizon=100
        →2 append term=1 [180,230) commit=130 horizon=100
      1→ appendReply term=1 write=180 flush=150 commit=100
        →1 append term=1 [230,280) commit=130 horizon=100
      "
    `);
  });

  test('takes up an acceptor that comes late, from a donor as far as the WAL is older than its term', () => {
    const script = proposer()
      .connected(1, 2)
      .greeted(1, 1)
      .greeted(2, 1)
      .voted(1, 2, 180, '0@100 1@100')
      .voted(2, 2, 180, '0@100 1@100')
      .acknowledged(1, 2, 180)
      .acknowledged(2, 2, 180);
    const late = new ProposerScript(script.state)
      .wal(200)
      .connected(3)
      .greeted(3, 0)
      .voted(3, 2, 100, '0@100')
      .acknowledged(3, 2, 160)
      .disconnected(3)
      .connected(3)
      .greeted(3, 2)
      .voted(3, 2, 160, '0@100 1@100', { granted: false });
    expect(late.trace).toMatchInlineSnapshot(`
      "
      wal 200
        →1 append term=2 [180,200) commit=180 horizon=100
        →2 append term=2 [180,200) commit=180 horizon=100
      3 connected
        →3 greeting g1
      3→ greetingReply g1 term=0
        →3 voteRequest term=2
      3→ voteReply term=2 granted flush=100 commit=100 horizon=100 history=0@100
        →3 elected term=2 start=100 history=0@100 1@100 2@180
        →3 append term=2 [100,100) commit=180 horizon=100 probe
        →3 append term=2 [100,150) commit=180 horizon=100 from donor 1
        →3 append term=2 [150,180) commit=180 horizon=100 from donor 1
        →3 append term=2 [180,200) commit=180 horizon=100
      3→ appendReply term=2 write=160 flush=160 commit=100
      3 gone
      3 connected
        →3 greeting g1
      3→ greetingReply g1 term=2
        →3 voteRequest term=2
      3→ voteReply term=2 refused flush=160 commit=100 horizon=100 history=0@100 1@100
        →3 elected term=2 start=160 history=0@100 1@100 2@180
        →3 append term=2 [160,160) commit=180 horizon=100 probe
        →3 append term=2 [160,180) commit=180 horizon=160 from donor 1
        →3 append term=2 [180,200) commit=180 horizon=160
      "
    `);
  });

  test('begins again, later, when a vote is refused, and in a term after all those seen', () => {
    const script = proposer()
      .connected(1, 2, 3)
      .greeted(1, 0)
      .greeted(2, 0)
      .voted(1, 1, 100, '0@100')
      .voted(2, 4, 100, '0@100', { granted: false })
      .greeted(3, 6)
      .step('election due', { type: 'electionDue' });
    expect(script.trace).toMatchInlineSnapshot(`
      "
      1 connected
        →1 greeting g1
      2 connected
        →2 greeting g1
      3 connected
        →3 greeting g1
      1→ greetingReply g1 term=0
      2→ greetingReply g1 term=0
        →1 voteRequest term=1
        →2 voteRequest term=1
      1→ voteReply term=1 granted flush=100 commit=100 horizon=100 history=0@100
      2→ voteReply term=4 refused flush=100 commit=100 horizon=100 history=0@100
        schedule election 1
      3→ greetingReply g1 term=6
      election due
        →1 voteRequest term=7
        →2 voteRequest term=7
        →3 voteRequest term=7
      "
    `);
  });

  test('outbids a higher term met while it waits for votes', () => {
    const script = proposer()
      .connected(1, 2, 3)
      .greeted(1, 0)
      .greeted(2, 0)
      .greeted(3, 9)
      .step('election due', { type: 'electionDue' });
    expect(script.trace).toMatchInlineSnapshot(`
      "
      1 connected
        →1 greeting g1
      2 connected
        →2 greeting g1
      3 connected
        →3 greeting g1
      1→ greetingReply g1 term=0
      2→ greetingReply g1 term=0
        →1 voteRequest term=1
        →2 voteRequest term=1
      3→ greetingReply g1 term=9
        schedule election 1
      election due
        →1 voteRequest term=10
        →2 voteRequest term=10
        →3 voteRequest term=10
      "
    `);
  });

  test.each([
    ['an acknowledgement', (script: ProposerScript) => script.acknowledged(2, 2, 100)],
    ['a greeting', (script: ProposerScript) => script.connected(3).greeted(3, 2)],
    [
      'a vote',
      (script: ProposerScript) => script.connected(3).greeted(3, 0).voted(3, 2, 100, '0@100', { granted: false }),
    ],
  ])('is fenced by %s with a higher term, and then says nothing more', (_what, act) => {
    const script = act(leader());
    expect(script.trace).toContain('fenced by term 2');
    expect(script.state.phase).toBe('fenced');
    expect(new ProposerScript(script.state).wal(130).acknowledged(1, 1, 130).trace).toBe(
      '\nwal 130\n1→ appendReply term=1 write=130 flush=130 commit=100\n',
    );
  });

  test('in mode sync is done once the start is committed', () => {
    const script = proposer({ mode: 'sync' })
      .connected(1, 2)
      .greeted(1, 1)
      .greeted(2, 1)
      .voted(1, 2, 180, '0@100 1@100')
      .voted(2, 2, 160, '0@100 1@100')
      .acknowledged(1, 2, 180)
      .acknowledged(2, 2, 160)
      .acknowledged(2, 2, 180);
    expect(script.trace).toMatchInlineSnapshot(`
      "
      1 connected
        →1 greeting g1
      2 connected
        →2 greeting g1
      1→ greetingReply g1 term=1
      2→ greetingReply g1 term=1
        →1 voteRequest term=2
        →2 voteRequest term=2
      1→ voteReply term=2 granted flush=180 commit=100 horizon=100 history=0@100 1@100
      2→ voteReply term=2 granted flush=160 commit=100 horizon=100 history=0@100 1@100
        elected term=2 start=180 donor=1 history=0@100 1@100 2@180
        →1 elected term=2 start=180 history=0@100 1@100 2@180
        →1 append term=2 [180,180) commit=100 horizon=100 probe
        →2 elected term=2 start=160 history=0@100 1@100 2@180
        →2 append term=2 [160,160) commit=100 horizon=100 probe
        →2 append term=2 [160,180) commit=100 horizon=100 from donor 1
      1→ appendReply term=2 write=180 flush=180 commit=100
      2→ appendReply term=2 write=160 flush=160 commit=100
      2→ appendReply term=2 write=180 flush=180 commit=100
        commit 180
        synced 180
        →1 append term=2 [180,180) commit=180 horizon=100
        →2 append term=2 [180,180) commit=180 horizon=100
      "
    `);
    expect(script.state.phase).toBe('done');
  });

  test('stops when the data directory begins elsewhere', () => {
    const script = proposer({ expectedStartLsn: 160 as Lsn })
      .connected(1, 2)
      .greeted(1, 1)
      .greeted(2, 1)
      .voted(1, 2, 180, '0@100 1@100')
      .voted(2, 2, 160, '0@100 1@100');
    expect(script.trace).toContain('stopped start-mismatch: the WAL ends at 0/B4, the data directory begins at 0/A0');
  });

  test('stops rather than lead when committed WAL is missing in its quorum', () => {
    const script = proposer()
      .connected(1, 2)
      .greeted(1, 1)
      .greeted(2, 1)
      .voted(1, 2, 180, '0@100 1@100')
      .voted(2, 2, 160, '0@100 1@100', { commit: 200 });
    expect(script.trace).toContain('stopped inconsistent-quorum: safekeeper 2 has WAL committed up to 0/C8');
  });

  test('goes on in a newer configuration that an acceptor is in: a candidate begins anew', () => {
    const next = { generation: 2, members: THREE.members, newMembers: [nodeId(4)] };
    const script = proposer().connected(1).greeted(1, 3, next);
    expect(script.trace).toContain('disconnect 1: the members change\n  reconfigured g2');
    expect(script.state.phase).toBe('greeting');
    script.connected(1, 2, 4).greeted(1, 3, next).greeted(2, 3, next).greeted(4, 0, next);
    expect(script.state).toMatchObject({ phase: 'voting', term: 4 });
  });

  test('a leader keeps its term in a newer configuration, and counts anew: a quorum of both sets, acknowledged in it', () => {
    const joint = { generation: 2, members: THREE.members, newMembers: [nodeId(4)] };
    const script = proposer()
      .connected(1, 2)
      .greeted(1, 0)
      .greeted(2, 0)
      .voted(1, 1, 100, '0@100')
      .voted(2, 1, 100, '0@100')
      .acknowledged(1, 1, 100)
      .acknowledged(2, 1, 100)
      .wal(120);
    script.connected(3).greeted(3, 1, joint);
    expect(script.state).toMatchObject({ phase: 'leading', term: 1, commitLsn: 100 });
    script.connected(1, 2, 4);
    for (const node of [1, 2, 4]) script.greeted(node, 1, joint).voted(node, 1, 100, '0@100 1@100', { generation: 2 });
    for (const node of [1, 2]) script.acknowledged(node, 1, 120, 120, 2);
    expect(script.state.commitLsn).toBe(100);
    script.acknowledged(4, 1, 120, 120, 2);
    expect(script.state.commitLsn).toBe(120);
  });

  test('who is no member any more is not listened to', () => {
    const next = { generation: 2, members: [nodeId(1)], newMembers: null };
    const script = proposer().connected(1, 3).greeted(1, 0, next).disconnected(3).greeted(3, 7).connected(3);
    expect(script.trace).toMatch(/disconnect 3: it is no member any more/);
    expect(script.state.termSeen).toBe(0);
  });

  test('needs a quorum of both sets while membership changes', () => {
    const joint = { generation: 1, members: THREE.members, newMembers: [nodeId(4)] };
    const script = proposer({ configuration: joint }).connected(1, 2, 4).greeted(1, 0, joint).greeted(2, 0, joint);
    expect(script.state.phase).toBe('greeting');
    script.greeted(4, 0, joint).voted(1, 1, 100, '0@100').voted(2, 1, 100, '0@100');
    expect(script.state.phase).toBe('voting');
    script.voted(4, 1, 100, '0@100').acknowledged(1, 1, 100).acknowledged(2, 1, 100);
    expect(script.state.synced).toBe(false);
    script.acknowledged(4, 1, 100);
    expect(script.state.synced).toBe(true);
  });

  test('drops an acceptor that acknowledges what was not sent', () => {
    const script = leader().acknowledged(1, 1, 400);
    expect(script.trace).toContain('disconnect 1: it acknowledges WAL that was not sent to it');
    expect(script.state.commitLsn).toBe(100);
  });

  test('keeps counting what an acceptor acknowledged before its connection was lost', () => {
    const script = leader().wal(130).acknowledged(1, 1, 130).disconnected(1).acknowledged(2, 1, 130);
    expect(script.state.commitLsn).toBe(130);
  });

  test('lets a little WAL wait for the acknowledgement of what is under way, and sends much at once', () => {
    const script = leader({ coalesceBytesMax: 30, inflightBytesMax: 1000 });
    const sentTo1 = (): string[] => script.trace.split('\n').filter((line) => line.includes('→1 append'));
    script.wal(110).wal(115).wal(120);
    expect(sentTo1()).toEqual([expect.stringContaining('[100,110)')]);
    script.acknowledged(1, 1, 110);
    expect(sentTo1()).toEqual([expect.stringContaining('[100,110)'), expect.stringContaining('[110,120)')]);
    script.wal(150);
    expect(sentTo1().at(-1)).toContain('[120,150)');
    script.acknowledged(1, 1, 150).acknowledged(2, 1, 110).acknowledged(2, 1, 150);
    expect(script.state.commitLsn).toBe(150);
  });

  test('keeps the peer horizon at what every acceptor has', () => {
    const script = leader()
      .connected(3)
      .greeted(3, 0)
      .voted(3, 1, 100, '0@100')
      .acknowledged(3, 1, 100)
      .wal(130)
      .acknowledged(1, 1, 130)
      .acknowledged(2, 1, 130)
      .acknowledged(3, 1, 110, 130)
      .step('tick', { type: 'tick' });
    expect(script.state.peerHorizonLsn).toBe(110);
    expect(script.trace).toContain('commit=130 horizon=110 probe');
  });
});

test('Raft, figure 8: WAL of an older term on a quorum is not committed before a quorum has reached the start of this one', () => {
  const script = figure8();
  expect(script.state.commitLsn).toBe(100);
  expect(script.acknowledged(2, 4, 140).state.commitLsn).toBe(140);
});
