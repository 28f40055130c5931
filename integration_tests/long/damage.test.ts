import { damageSuite } from '../../packages/pageserver/src/remote/damage-suite.test-support.ts';

damageSuite(120);
