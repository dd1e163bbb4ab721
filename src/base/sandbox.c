/*
 * The seccomp filter is made from sandbox_calls.def: a row is a few instructions that end with a
 * verdict or fall through to the next row.  The kernel remembers which numbers are always
 * allowed, so that the hot ones do not run through the filter.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SANDBOX_ARCH AUDIT_ARCH_X86_64
enum { CALL_NUMBERS_END = 0x40000000 }; /* the x32 ABI's begin here */
#elif defined(__aarch64__)
#define SANDBOX_ARCH AUDIT_ARCH_AARCH64
enum { CALL_NUMBERS_END = 0x40000000 };
#endif

#if defined(CCP_SANITIZED) || !defined(SANDBOX_ARCH)

int sandbox_calls(bool may_write, bool only_log)
{
    (void)may_write;
    (void)only_log;
    return -EOPNOTSUPP;
}

#else

enum rule { ALLOWED, ALLOWED_IF, ALLOWED_UNLESS, DEADLY, ABSENT };

static const struct call {
    enum rule rule;
    uint32_t number;
    unsigned arg;
    uint32_t mask, value;
} calls[] = {
#define CALL(name) { ALLOWED, SYS_##name, 0, 0, 0 },
#define CALL_IF(name, arg, mask, value) { ALLOWED_IF, SYS_##name, arg, mask, value },
#define CALL_UNLESS(name, arg, mask, value) { ALLOWED_UNLESS, SYS_##name, arg, mask, value },
#define FATAL(name) { DEADLY, SYS_##name, 0, 0, 0 },
#define MISSING(name) { ABSENT, SYS_##name, 0, 0, 0 },
#include "sandbox_calls.def"
#undef CALL
#undef CALL_IF
#undef CALL_UNLESS
#undef FATAL
#undef MISSING
};

enum { INSTRUCTIONS_PER_CALL = 6, INSTRUCTIONS_MAX = 8 + ARRAY_LEN(calls) * INSTRUCTIONS_PER_CALL };

struct filter {
    struct sock_filter code[INSTRUCTIONS_MAX];
    unsigned short n;
};

static void add(struct filter *f, unsigned code, uint32_t k, unsigned if_true, unsigned if_false)
{
    must(f->n < INSTRUCTIONS_MAX);
    f->code[f->n++] =
        (struct sock_filter){ (uint16_t)code, (uint8_t)if_true, (uint8_t)if_false, k };
}

static void load(struct filter *f, size_t offset)
{
    add(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void verdict(struct filter *f, uint32_t what)
{
    add(f, BPF_RET | BPF_K, what, 0, 0);
}

/* The number is loaded before and after. */
static void add_call(struct filter *f, const struct call *c, uint32_t deadly, uint32_t absent)
{
    bool conditional = c->rule == ALLOWED_IF || c->rule == ALLOWED_UNLESS;
    add(f, BPF_JMP | BPF_JEQ | BPF_K, c->number, 0, conditional ? 5 : 1);
    if (!conditional) {
        verdict(f, c->rule == ALLOWED ? SECCOMP_RET_ALLOW : c->rule == DEADLY ? deadly : absent);
        return;
    }
    bool wanted = c->rule == ALLOWED_IF;
    size_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : sizeof(uint32_t);
    load(f, offsetof(struct seccomp_data, args) + c->arg * sizeof(uint64_t) + low);
    add(f, BPF_ALU | BPF_AND | BPF_K, c->mask, 0, 0);
    add(f, BPF_JMP | BPF_JEQ | BPF_K, c->value, wanted ? 0 : 1, wanted ? 1 : 0);
    verdict(f, SECCOMP_RET_ALLOW);
    load(f, offsetof(struct seccomp_data, nr));
}

static void build(struct filter *f, bool may_write, bool only_log)
{
    uint32_t refused = only_log ? SECCOMP_RET_LOG : SECCOMP_RET_ERRNO | EPERM;
    uint32_t deadly = only_log ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
    uint32_t absent = SECCOMP_RET_ERRNO | ENOSYS;
    f->n = 0;
    load(f, offsetof(struct seccomp_data, arch));
    add(f, BPF_JMP | BPF_JEQ | BPF_K, SANDBOX_ARCH, 1, 0);
    verdict(f, SECCOMP_RET_KILL_PROCESS); /* other numbers mean other calls there */
    load(f, offsetof(struct seccomp_data, nr));
    add(f, BPF_JMP | BPF_JGE | BPF_K, CALL_NUMBERS_END, 0, 1);
    verdict(f, SECCOMP_RET_KILL_PROCESS);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct call c = calls[i];
        if (may_write && c.number == SYS_openat)
            c.rule = ALLOWED;
        add_call(f, &c, deadly, absent);
    }
    verdict(f, refused);
}

int sandbox_calls(bool may_write, bool only_log)
{
    struct filter f;
    build(&f, may_write, only_log);
    struct sock_fprog program = { f.n, f.code };
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    return r < 0 ? -errno : r > 0 ? -ESRCH : 0; /* above 0: a thread that has another filter */
}

#endif
