import { ROLES, type Role } from '@zenith/control-plane';
import { Command, Option } from 'commander';
import { idArgument, lifetimeArgument } from './arguments.ts';
import { describeCommand, runWork, type Surroundings } from './runner.ts';

/** What commander makes of the options of `zenith auth token`. */
interface ParsedTokenOptions {
  readonly role: Role;
  readonly branch?: string;
  readonly tenant?: string;
  readonly timeline?: string;
  /** Unit: seconds. */
  readonly expires: number | 'never';
}

/** Unit: seconds. */
const LIFETIME_DEFAULT = 30 * 24 * 3600;

/** `zenith auth …` */
export function authCommand(around: Surroundings): Command {
  const token = describeCommand('token', 'sign a token for a person or a tool, and print it', [
    'zenith auth token --role reader --branch main --expires 1d',
    'zenith auth token --role monitor --expires never',
  ])
    .addOption(new Option('--role <role>', 'what it lets its bearer do').choices(ROLES).makeOptionMandatory())
    .option('--branch <name>', 'for this branch only')
    .option('--tenant <id>', 'for this tenant only', idArgument)
    .option('--timeline <id>', 'for this timeline only', idArgument)
    .addOption(
      new Option('--expires <time>', "how long it is good for: 36h, 7d, or 'never'")
        .default(LIFETIME_DEFAULT, '30d')
        .argParser(lifetimeArgument),
    )
    .action(async (options: ParsedTokenOptions, command: Command) => {
      const work = await import('../commands/auth.ts');
      await runWork(around, command, (context) => work.authToken(context, options));
    });
  const keys = describeCommand('keys', 'list the keys whose tokens are accepted, and which of them signs new ones', [
    'zenith auth keys',
  ]).action(async (_options: object, command: Command) => {
    const work = await import('../commands/auth.ts');
    await runWork(around, command, work.authKeys);
  });
  const rotate = describeCommand(
    'rotate',
    'make a new signing key; services go on with it, the old one stays accepted',
    ['zenith auth rotate'],
  ).action(async (_options: object, command: Command) => {
    const work = await import('../commands/auth.ts');
    await runWork(around, command, work.authRotate);
  });
  const revoke = describeCommand(
    'revoke',
    'refuse the tokens of a key from now on, and cut off whoever is connected with one; services go on',
    ['zenith auth revoke 8Wd3'],
  )
    .argument('<key>', 'its id, or the beginning of it')
    .action(async (key: string, _options: object, command: Command) => {
      const work = await import('../commands/auth.ts');
      await runWork(around, command, (context) => work.authRevoke(context, key));
    });
  const certificates = describeCommand(
    'certificates',
    'show the certificates of the services, or make them a new one, which they show from the next connection on',
    ['zenith auth certificates', 'zenith auth certificates --renew'],
  )
    .option('--renew', 'make a new one')
    .action(async (options: { renew?: boolean }, command: Command) => {
      const work = await import('../commands/certificates.ts');
      await runWork(around, command, (context) => work.authCertificates(context, options));
    });
  const all = new Command('auth').description(
    "tokens, keys and certificates of a repository made with 'zenith init --auth' or '--tls'",
  );
  for (const command of [token, keys, rotate, revoke, certificates]) all.addCommand(command);
  return all;
}
