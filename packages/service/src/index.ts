export { ServiceError, type ServiceErrorCode } from './errors.ts';
export { PidFile } from './pid-file.ts';
export { ProcessFlag } from './process-flag.ts';
export { identifyProcess, isAlive, processArguments, type ProcessIdentity } from './process-identity.ts';
export { removeFile, removeTree } from './remove-files.ts';
export { runService, type MakeLog, type Running } from './run-service.ts';
export { reportStart, type StartReport } from './start-report.ts';
