/*
 * Landlock.  The kernel's header may be older than the kernel, so the names stand here
 * (linux/landlock.h); what the running kernel does not know is left out.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef CCP_SANITIZED

int sandbox_files(const struct sandbox_files *rules)
{
    (void)rules;
    return -EOPNOTSUPP;
}

#else

enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2 };
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL = 5, ABI_SCOPE = 6 };

#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_MAKE_REG (UINT64_C(1) << 8)
#define FS_UP_TO_MAKE_SYM ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

struct ruleset {
    uint64_t handled_fs, handled_net, scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

struct port_rule {
    uint64_t allowed, port;
};

static uint64_t rights(int abi)
{
    return FS_UP_TO_MAKE_SYM | (abi >= ABI_REFER ? FS_REFER : 0) |
           (abi >= ABI_TRUNCATE ? FS_TRUNCATE : 0) | (abi >= ABI_IOCTL ? FS_IOCTL_DEV : 0);
}

static int add_path(int ruleset, const char *path, uint64_t allowed)
{
    struct stat st;
    struct path_rule rule = { allowed, open(path, O_PATH | O_CLOEXEC) };
    if (rule.fd < 0)
        return 0; /* what is not there needs no rule */
    int e = fstat(rule.fd, &st) < 0 ? -errno : 0;
    if (!S_ISDIR(st.st_mode))
        rule.allowed &= FS_READ_FILE | FS_WRITE_FILE;
    if (e == 0 && syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
        e = -errno;
    close(rule.fd);
    return e;
}

static int add_rules(int ruleset, const struct sandbox_files *rules, int abi)
{
    int e = 0;
    for (size_t i = 0; i < rules->readable_n && e == 0; i++)
        e = add_path(ruleset, rules->readable[i], FS_READ_FILE | FS_READ_DIR);
    for (size_t i = 0; i < rules->writable_n && e == 0; i++)
        e = add_path(ruleset, rules->writable[i], FS_WRITE_FILE | FS_MAKE_REG);
    for (size_t i = 0; i < rules->ports_n && e == 0 && abi >= ABI_NET; i++) {
        const struct port_rule rule = { NET_CONNECT_TCP, rules->ports[i] };
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) < 0)
            e = -errno;
    }
    return e;
}

int sandbox_files(const struct sandbox_files *rules)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    if (abi < 0)
        return -errno;
    const struct ruleset handled = {
        .handled_fs = rights(abi),
        .handled_net = NET_BIND_TCP | NET_CONNECT_TCP,
        .scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL,
    };
    size_t known = abi >= ABI_SCOPE ? sizeof(handled)
                   : abi >= ABI_NET ? offsetof(struct ruleset, scoped)
                                    : offsetof(struct ruleset, handled_net);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, known, 0);
    if (ruleset < 0)
        return -errno;
    int e = add_rules(ruleset, rules, abi);
    if (e == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        e = -errno;
    close(ruleset);
    return e < 0 ? e : abi;
}

#endif
