import type { Operator } from '../credentials/operator.ts';
import type { Repository } from '../repository/repository.ts';
import { checkAnswer, supervisorStatus, type SupervisorStatus } from './answers.ts';
import { callHttp } from './http-json.ts';

/** Unit: milliseconds. */
const TIMEOUT_MS = 5_000;

/** The interface of one compute's supervisor. Every method throws what {@link callHttp} throws. */
export class SupervisorClient {
  readonly #service: string;
  readonly #startedBy: string;
  readonly #host: string;
  readonly #port: number;
  readonly #operator: Operator;

  /** @param endpoint for messages */
  constructor({ config, operator }: Pick<Repository, 'config' | 'operator'>, endpoint: string, httpPort: number) {
    this.#service = `the compute of '${endpoint}'`;
    this.#startedBy = `zenith pg start ${endpoint}`;
    this.#operator = operator;
    this.#host = config.host;
    this.#port = httpPort;
  }

  /** Its state; `commitLsn` covers every commit that was acknowledged before the call. */
  async status(): Promise<SupervisorStatus> {
    return checkAnswer(this.#service, supervisorStatus, await this.#call('GET', '/v1/status'));
  }

  /** Asks it to stop; returns before it has. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#call('POST', '/v1/stop', { mode });
  }

  /** Tells it where safekeepers are that may become members. */
  async learnSafekeepers(
    safekeepers: readonly { readonly id: number; readonly host: string; readonly port: number }[],
  ): Promise<void> {
    await this.#call('POST', '/v1/safekeepers', { safekeepers });
  }

  async #call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> {
    const token = await this.#operator.token();
    return callHttp({
      service: this.#service,
      startedBy: this.#startedBy,
      host: this.#host,
      port: this.#port,
      token,
      trust: this.#operator.trust,
      method,
      path,
      body,
      timeoutMs: TIMEOUT_MS,
    });
  }
}
