import { EVERY_MAJOR } from '@zenith/testing';
import { describeOracle } from '../support/oracle-suite.ts';

for (const major of EVERY_MAJOR) describeOracle(major);
