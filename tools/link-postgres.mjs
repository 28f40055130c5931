// Completes the shared-library links of the PostgreSQL packages, which npm cannot pack: the installing user may write there, the one who runs it later may not.
import { findInstallation } from '@zenith/compute';

for (const major of [15, 16, 17, 18]) findInstallation(major);
