// Loaded into the command by NODE_OPTIONS=--import: counts what the command does to the world outside of it, in the order in which it does it, and ends it with SIGKILL right after the n-th such effect.
// So a kill meets a command between any two of its effects, the same way each time and on every machine.
//   ZENITH_EFFECTS_FILE   a line is appended for each effect
//   ZENITH_KILL_AFTER     n; without it the command comes to its end
// What happens inside of one effect (a folder removed with all in it, a request that is being worked on) is not divided further.
import childProcess from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';

const CHANGES = [
  'mkdir',
  'mkdtemp',
  'rename',
  'rm',
  'rmdir',
  'unlink',
  'link',
  'symlink',
  'copyFile',
  'writeFile',
  'write',
];

const { ZENITH_EFFECTS_FILE: file, ZENITH_KILL_AFTER: killAfter } = process.env;
const isTheCommand = file !== undefined && (process.argv[1] ?? '').endsWith('/cli/bin/zenith.js');
for (const name of ['NODE_OPTIONS', 'ZENITH_EFFECTS_FILE', 'ZENITH_KILL_AFTER']) delete process.env[name];

function watch() {
  const log = fs.openSync(file, 'a');
  const { writeSync } = fs;
  const kill = process.kill.bind(process);
  let count = 0;

  function effect(what) {
    writeSync(log, `${what}\n`);
    if (++count !== Number(killAfter)) return;
    kill(process.pid, 'SIGKILL');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // it is gone before that ends
  }

  /** Replaces `name` by itself and an effect afterwards, if `counts` its arguments. */
  function replace(module, name, counts = () => true) {
    const original = module[name];
    module[name] = function replaced(...args) {
      const result = original.apply(this, args);
      if (!counts(args)) return result;
      const what = `${name} ${typeof args[0] === 'object' ? '' : args[0]}`;
      if (typeof result?.then !== 'function') {
        effect(what);
        return result;
      }
      return result.then((value) => {
        effect(what);
        return value;
      });
    };
  }

  const isWriting = ([, flags = 'r']) =>
    typeof flags === 'number' ? (flags & fs.constants.O_CREAT) !== 0 : /[wa]/.test(flags);
  for (const name of CHANGES) {
    replace(fs, `${name}Sync`, ([target]) => typeof target !== 'number' || target > 2); // not what it says
    if (name in fs.promises) replace(fs.promises, name);
  }
  replace(fs, 'openSync', isWriting);
  replace(fs.promises, 'open', isWriting);
  replace(process, 'kill', ([, signal]) => signal !== 0);

  for (const name of ['spawn', 'execFile']) {
    const start = childProcess[name];
    childProcess[name] = (...args) => {
      const child = start(...args);
      child.once('message', () => effect(`message of ${args[1]?.[0]}`));
      child.once('exit', () => effect(`exit of ${args[0]}`));
      effect(`${name} ${args[0]} ${args[1]?.join(' ')}`);
      return child;
    };
  }

  for (const module of [http, https]) {
    const { request } = module;
    module.request = (...args) => {
      const made = request(...args);
      const what = `${made.method} ${made.path}`;
      made.once('finish', () => effect(`asked ${what}`));
      made.once('response', () => effect(`answered ${what}`));
      return made;
    };
  }
  syncBuiltinESMExports();
}

if (isTheCommand) watch();
