#include "privilege.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's capability sets: two words of 32 bits each. */
struct capabilities {
    struct __user_cap_header_struct head;
    struct __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3];
};

void privilege_core_files(bool allowed)
{
    struct rlimit limit;
    (void)prctl(PR_SET_DUMPABLE, allowed ? 1 : 0);
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur =
            allowed ? limit.rlim_max : 0; /* the hard limit stays: a reload may allow */
        (void)setrlimit(RLIMIT_CORE, &limit);
    }
}

/* --- users --- */

static int find_group(const char *name, gid_t *ret_gid, struct buf *ret_error)
{
    uint64_t number;
    if (str_to_u64(str_of(name), &number) == 0 && number < UINT32_MAX) {
        *ret_gid = (gid_t)number;
        return 0;
    }
    const struct group *g = getgrnam(name);
    if (g == NULL) {
        buf_add(ret_error, S("no such group"));
        return -EINVAL;
    }
    *ret_gid = g->gr_gid;
    return 0;
}

static int find_user(const char *name, struct privilege_user *ret_user, struct buf *ret_error)
{
    uint64_t number;
    bool numeric = str_to_u64(str_of(name), &number) == 0 && number < UINT32_MAX;
    const struct passwd *p = numeric ? getpwuid((uid_t)number) : getpwnam(name);
    if (p == NULL && !numeric) {
        buf_add(ret_error, S("no such user"));
        return -EINVAL;
    }
    ret_user->uid = p != NULL ? p->pw_uid : (uid_t)number;
    ret_user->gid = p != NULL ? p->pw_gid : (gid_t)number;
    return 0;
}

int privilege_find_user(struct str name, struct privilege_user *ret_user, struct buf *ret_error)
{
    char text[256];
    if (name.n == 0 || name.n >= sizeof(text)) {
        buf_add(ret_error, S("not user or user:group"));
        return -EINVAL;
    }
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    char *group = strchr(text, ':');
    if (group != NULL)
        *group++ = '\0';
    int e = find_user(text, ret_user, ret_error);
    if (e == 0 && group != NULL)
        e = find_group(group, &ret_user->gid, ret_error);
    return e;
}

/* --- capabilities --- */

static int capabilities_read(struct capabilities *c)
{
    memset(c, 0, sizeof(*c));
    c->head.version = _LINUX_CAPABILITY_VERSION_3;
    return syscall(SYS_capget, &c->head, c->words) < 0 ? -errno : 0;
}

/* What an exec() of a root process or of a file with capabilities could bring back. */
static void shrink_bounding_set(uint64_t keep)
{
    for (int i = 0; i < 64; i++) {
        if ((keep >> i & 1) == 0 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
            (void)prctl(PR_CAPBSET_DROP, i, 0, 0,
                        0); /* without CAP_SETPCAP there is nothing to lose */
    }
}

/* Keeps those of the set that the process has. */
static int keep_capabilities(uint64_t keep)
{
    struct capabilities c;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    shrink_bounding_set(keep);
    int e = capabilities_read(&c);
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        uint32_t word = (uint32_t)(keep >> 32 * i);
        c.words[i].permitted &= word;
        c.words[i].effective = c.words[i].permitted;
        c.words[i].inheritable = 0;
    }
    if (e == 0 && syscall(SYS_capset, &c.head, c.words) < 0)
        e = -errno;
    return e;
}

/* Root may do so by its capabilities; anybody may ask for what it is already. */
static int become(const struct privilege_user *user)
{
    if (geteuid() != 0)
        return geteuid() == user->uid && getegid() == user->gid ? 0 : -EPERM;
    if (setgroups(1, &user->gid) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0)
        return -errno;
    return 0;
}

int privilege_drop(const struct privilege_user *user)
{
    int signal = 0, dumpable = prctl(PR_GET_DUMPABLE);
    (void)prctl(PR_GET_PDEATHSIG, &signal);
    shrink_bounding_set(0); /* needs a capability that goes with the user */
    int e = user != NULL ? become(user) : 0;
    if (e == 0)
        e = keep_capabilities(0);
    if (e == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        e = -errno;
    /* a change of user or capabilities clears both */
    (void)prctl(PR_SET_PDEATHSIG, signal);
    (void)prctl(PR_SET_DUMPABLE, dumpable == 1 ? 1 : 0);
    return e;
}

int privilege_keep_supervising(void)
{
    static const int kept[] = {
        CAP_NET_BIND_SERVICE, /* ports below 1024, at a reload too */
        CAP_DAC_OVERRIDE,     /* configuration and keys of other users, the admin socket's folder */
        CAP_SETUID,
        CAP_SETGID,
        CAP_SETPCAP, /* for workers, which drop them */
        CAP_KILL,    /* workers are another user then */
    };
    uint64_t keep = 0;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        keep |= UINT64_C(1) << kept[i];
    int e = keep_capabilities(keep);
    if (e == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        e = -errno;
    return e;
}
