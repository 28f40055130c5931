import { describeOracle } from '../support/oracle-suite.ts';

describeOracle(18);
describeOracle(17);
