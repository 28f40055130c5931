import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort, temporaryDirectory } from '@zenith/testing';

const run = promisify(execFile);

/** A monitor, an object store in memory and a gateway take some 15 s. Unit: ms. */
const START_TIMEOUT_MS = 120_000;

/** Attempts at a start. */
const STARTS_MAX = 4;

/** The account that {@link Radosgw} makes; to be in the environment of whoever uses it. */
export const S3_CREDENTIALS = { AWS_ACCESS_KEY_ID: 'zenith', AWS_SECRET_ACCESS_KEY: 'zenith-secret' } as const;

/** A real S3 server: Debian's Ceph with its gateway (packages `radosgw`, `ceph-mon`, `ceph-osd`), objects in memory, on free ports of 127.0.0.1. */
export class Radosgw {
  readonly endpoint: string;
  readonly #directory: ReturnType<typeof temporaryDirectory>;
  readonly #processes: ChildProcess[] = [];
  readonly #configuration: string;

  private constructor(port: number) {
    this.endpoint = `http://127.0.0.1:${port}`;
    this.#directory = temporaryDirectory('zenith-radosgw-');
    this.#configuration = join(this.#directory.path, 'ceph.conf');
  }

  /** Starts one; ready to be used when it resolves. A Ceph that does not come up is given up and made anew: now and then its monitor refuses its own storage daemon (`wrong fsid`), which dies of it. */
  static async start(): Promise<Radosgw> {
    for (let attempt = 1; ; attempt++) {
      const [monitorPort, port] = [await freePort(), await freePort()];
      const radosgw = new Radosgw(port);
      try {
        await radosgw.#start(monitorPort, port);
        return radosgw;
      } catch (error) {
        await radosgw.remove();
        if (attempt === STARTS_MAX) throw error;
        console.error(error);
      }
    }
  }

  async #start(monitorPort: number, port: number): Promise<void> {
    const { path } = this.#directory;
    const cluster = randomUUID();
    for (const name of ['mon', 'osd', 'rgw']) mkdirSync(join(path, name));
    writeFileSync(join(path, 'keyring'), '');
    writeFileSync(
      this.#configuration,
      `[global]
fsid = ${cluster}
mon_host = v1:127.0.0.1:${monitorPort}
mon_initial_members = a
mon_data = ${path}/mon
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_crush_chooseleaf_type = 0
osd_data = ${path}/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
ms_bind_msgr2 = false
keyring = ${path}/keyring
run_dir = ${path}
admin_socket =
pid_file =
log_file = ${path}/$name.log
rgw_data = ${path}/rgw
rgw_frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw_thread_pool_size = 16
`,
    );
    const map = join(path, 'monmap');
    await run('monmaptool', ['--create', '--fsid', cluster, '--addv', 'a', `[v1:127.0.0.1:${monitorPort}]`, map]);
    await this.#run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map);
    const monitor = this.#spawn('ceph-mon', '-i', 'a', '--public-addr', `v1:127.0.0.1:${monitorPort}`);
    await untilListening(monitorPort, monitor);
    await this.#runWhenReady('ceph', '--connect-timeout', '30', 'osd', 'new', cluster, '0');
    await this.#run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', cluster);
    const storage = this.#spawn('ceph-osd', '-i', '0');
    const gateway = this.#spawn('radosgw', '-n', 'client.rgw');
    await untilListening(port, gateway, storage);
    const { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret } = S3_CREDENTIALS;
    await this.#run(
      'radosgw-admin',
      '-n',
      'client.rgw',
      'user',
      'create',
      '--uid=zenith',
      '--display-name=zenith',
      `--access-key=${key}`,
      `--secret-key=${secret}`,
    );
  }

  /** The location of a bucket, as `zenith init --remote-storage` takes it. @param endpoint by which it is reached, if not the server's own */
  locationOf(bucket: string, endpoint = this.endpoint): string {
    return `s3://${bucket}/zenith?endpoint=${encodeURIComponent(endpoint)}`;
  }

  /** Makes a bucket and gives its location. */
  async makeBucket(bucket: string): Promise<string> {
    const client = new S3Client({
      endpoint: this.endpoint,
      forcePathStyle: true,
      region: 'us-east-1',
      requestChecksumCalculation: 'WHEN_REQUIRED',
      credentials: {
        accessKeyId: S3_CREDENTIALS.AWS_ACCESS_KEY_ID,
        secretAccessKey: S3_CREDENTIALS.AWS_SECRET_ACCESS_KEY,
      },
    });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    client.destroy();
    return this.locationOf(bucket);
  }

  /** Ends everything and removes what it kept. */
  async remove(): Promise<void> {
    for (const child of this.#processes.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    this.#directory.remove();
  }

  async #run(program: string, ...args: readonly string[]): Promise<void> {
    await run(program, ['-c', this.#configuration, ...args], { timeout: START_TIMEOUT_MS });
  }

  /** Runs what a monitor that listens already may refuse while it has not elected itself yet: again and again, and the same each time. */
  async #runWhenReady(program: string, ...args: readonly string[]): Promise<void> {
    const end = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        await this.#run(program, ...args);
        return;
      } catch (error) {
        if (Date.now() >= end || !/EPERM/.test((error as Error).message)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  #spawn(program: string, ...args: readonly string[]): ChildProcess {
    const log = join(this.#directory.path, `${program}.out`);
    const output = openSync(log, 'a');
    const child = spawn(program, ['-f', '-c', this.#configuration, ...args], { stdio: ['ignore', output, output] });
    closeSync(output);
    child.once('exit', (code) => {
      if (code !== null && code !== 0) console.error(`${program}: ${readFileSync(log, 'utf8').slice(-2000)}`);
    });
    this.#processes.push(child);
    return child;
  }
}

/** Resolves when something listens on the port; rejects when one of the processes ends before. These servers tell nobody that they are ready, so that it is asked again and again. */
async function untilListening(port: number, ...children: readonly [ChildProcess, ...ChildProcess[]]): Promise<void> {
  const end = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < end) {
    for (const { spawnfile, exitCode, signalCode } of children)
      if (exitCode !== null || signalCode !== null) throw new Error(`${spawnfile} ended: ${exitCode ?? signalCode}`);
    const listening = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (listening) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${children[0].spawnfile} did not listen on port ${port} in time`);
}
