/* Whether a server of PostgreSQL refuses us for good. */
#ifndef MUSTER_PRODUCERS_REFUSAL_H
#define MUSTER_PRODUCERS_REFUSAL_H

#include "core/status.h"

struct pg_conn; /* libpq's PGconn */

/* For a connection that has failed with `status` and a text in `error`: asks its servers once more,
 * for the reason in a form that does not depend on their language. STATUS_CONFIG, and the text says
 * where to look, when every one of them refuses who we are or knows no such database; STATUS_OK
 * when it is connected now; else `status`. */
enum status refusal_explain(struct pg_conn *connection, enum status status,
                            struct error *error) MUST_USE;

#endif
