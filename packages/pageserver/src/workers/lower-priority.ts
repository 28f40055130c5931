import { readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/**
 * Lets this thread give way to the others of the process, and to everybody else. What a worker does can wait, a read of a page cannot: with few cores, the thread that serves pages, its clients and the workers
 * compete for them. Linux keeps the priority per thread and takes a thread's id where a process's is documented. Elsewhere, and where it is not allowed, priorities stay as they are.
 * @param niceness 0 to 19; a process that was started with more keeps that
 */
export function lowerPriority(niceness: number): void {
  if (process.platform !== 'linux') return;
  try {
    // <process>/task/<thread>
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    if (thread > 0 && getPriority(thread) < niceness) setPriority(thread, niceness);
  } catch {
    // Without /proc, or forbidden: it is slower for reads, never wrong.
  }
}
