/* Whether this process is a PostgreSQL server of the compute the map belongs to. */
#ifndef ZENITH_ACTIVATE_H
#define ZENITH_ACTIVATE_H

#include "path.h"

/* Set once, by the constructor; false until then. */
extern bool library_active;

#endif
