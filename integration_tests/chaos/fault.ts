import type { ServiceProcess } from '../../packages/compute/src/supervisor/service-process.test-support.ts';

/** Makes one fault and gives what mends it, if there is anything to mend. */
export type Fault = () => (() => Promise<unknown> | void) | undefined;

/** Nothing is wrong. */
export const noFault: Fault = () => undefined;

/** A service is killed, and started again when that is mended, or stopped until then. */
export function serviceFault(service: ServiceProcess, fault: 'killed' | 'stopped'): Fault {
  if (fault === 'stopped') {
    return () => {
      service.kill('SIGSTOP');
      return () => service.kill('SIGCONT');
    };
  }
  return () => {
    const ended = killed(service);
    return () => ended.then(() => service.start());
  };
}

/** Kills a service; resolves when it is gone. */
export async function killed(service: ServiceProcess): Promise<void> {
  service.kill('SIGKILL');
  await service.exited;
}

/** Stops processes; gives what lets them go on. */
export function stopped(pids: readonly number[]): () => void {
  for (const pid of pids) signal(pid, 'SIGSTOP');
  return () => {
    for (const pid of pids) signal(pid, 'SIGCONT');
  };
}

/** Sends a signal to a process that may have ended already. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // something else has ended it
  }
}
