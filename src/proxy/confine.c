#include "confine.h"

#include <string.h>
#include <unistd.h>

#include "log.h"
#include "privilege.h"

static int drop_privileges(const struct config *config, struct buf *error)
{
    struct privilege_user user;
    bool becomes = config->run_as_user.n > 0 && geteuid() == 0;
    int e = becomes ? privilege_find_user(config->run_as_user, &user, error) : 0;
    if (e == 0 && (e = privilege_drop(becomes ? &user : NULL)) < 0)
        buf_addf(error, "cannot give up privileges: %s", strerror(-e));
    return e;
}

int confine_worker(const struct config *config)
{
    struct buf error CLEANUP(buf_done);
    buf_init(&error, 1024);
    int e = drop_privileges(config, &error);
    if (e < 0)
        log_write(LOG_ERROR, "worker_start_failed", F("error", buf_str(&error)),
                  F("part", "privileges"));
    return e;
}
