import { damageSuite } from './damage-suite.test-support.ts';

// integration_tests/long/damage.test.ts runs more of it.
damageSuite(6);
