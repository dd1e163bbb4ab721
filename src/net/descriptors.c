#include "descriptors.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of this process only: prlimit64(), which libc calls, could reach others, and a worker's sandbox
 * does not let it. */
static int set_limit(const struct rlimit *limit)
{
#ifdef SYS_setrlimit
    return (int)syscall(SYS_setrlimit, RLIMIT_NOFILE, limit);
#else
    return setrlimit(RLIMIT_NOFILE, limit);
#endif
}

void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < 4 * DESCRIPTORS_RESERVE)
        return;
    limit.rlim_cur = limit.rlim_max - DESCRIPTORS_RESERVE;
    (void)set_limit(&limit); /* the old limit will do otherwise */
}

int descriptors_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Descriptors are numbered below the limit, lowest first: those of the reserve stay free as long as
 * the limit is not moved, and moved it is for this one call. */
int descriptors_accept_reserved(int listener)
{
    struct rlimit limit, more;
    int fd = descriptors_accept(listener);
    if (fd != -EMFILE || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return fd;
    more = limit;
    more.rlim_cur += DESCRIPTORS_RESERVE;
    if (more.rlim_cur > more.rlim_max || set_limit(&more) < 0)
        return -EMFILE;
    fd = descriptors_accept(listener);
    (void)set_limit(&limit);
    return fd;
}
