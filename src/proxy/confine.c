#include "confine.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "privilege.h"
#include "sandbox.h"
#include "secret.h"

enum { READABLE_MAX = 64, DNS_PORT = 53 };

const char *const confine_resolver_files[] = {
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf", NULL,
};

/* What else libraries read while a worker runs. */
static const char *const library_files[] = {
    /* resolv.conf is often a link into one of these */
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/etc/services",
    "/etc/protocols",
    /* the system's certificate authorities are looked up one by one, by links to files */
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/lib/ssl",
    /* modules of nsswitch.conf; local time */
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    /* malloc() */
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/dev/urandom",
    "/dev/null",
};

static int drop_privileges(const struct config *config, struct buf *error)
{
    struct privilege_user user;
    bool becomes = config->run_as_user.n > 0 && geteuid() == 0;
    int e = becomes ? privilege_find_user(config->run_as_user, &user, error) : 0;
    if (e == 0 && (e = privilege_drop(becomes ? &user : NULL)) < 0)
        buf_addf(error, "cannot give up privileges: %s", strerror(-e));
    return e;
}

static size_t add_readable(const char **to)
{
    const char *const more[] = {
        getenv(X509_get_default_cert_dir_env()),
        getenv(X509_get_default_cert_file_env()),
        X509_get_default_cert_dir(),
        X509_get_default_cert_file(),
    };
    size_t n = 0;
    for (size_t i = 0; confine_resolver_files[i] != NULL; i++)
        to[n++] = confine_resolver_files[i];
    for (size_t i = 0; i < ARRAY_LEN(library_files); i++)
        to[n++] = library_files[i];
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        if (more[i] != NULL)
            to[n++] = more[i];
    must(n <= READABLE_MAX);
    return n;
}

/* The version of Landlock, or below 0. */
static int restrict_files(const struct config *config, const struct pool *pool)
{
    struct sandbox_files rules = { .readable_n = 0 };
    const char *readable[READABLE_MAX], *writable[2];
    if (config->dump_requests)
        writable[rules.writable_n++] = config->dump_dir.p;
    if (config->core_dumps) /* the kernel writes them as if the process did */
        writable[rules.writable_n++] = ".";
    rules.writable = writable;
    rules.readable = readable;
    rules.readable_n = add_readable(readable);
    rules.ports_n = pool_ports(pool, rules.ports, SANDBOX_PORTS_MAX - 1);
    rules.ports[rules.ports_n++] = DNS_PORT; /* answers too long for UDP */
    return sandbox_files(&rules);
}

static void say_missing(const char *part, int e)
{
    if (e < 0)
        log_write(LOG_WARNING, "sandbox_missing", F("part", part), F("error", strerror(-e)));
}

/* Trouble here is no reason not to serve: most kernels of containers have some of it. */
static void enter_sandbox(const struct config *config, const struct pool *pool)
{
    bool only_log = str_eq(config->sandbox, S("log"));
    if (str_eq(config->sandbox, S("off")))
        return;
    int files = only_log ? 0 : restrict_files(config, pool); /* it has no such mode */
    int calls = sandbox_calls(config->dump_requests, only_log);
    say_missing("landlock", files);
    say_missing("seccomp", calls);
    if (files >= 0 && calls >= 0)
        log_write(LOG_DEBUG, "sandbox", F("mode", config->sandbox), F("landlock", files));
}

int confine_worker(const struct config *config, const struct pool *pool)
{
    struct buf error CLEANUP(buf_done);
    buf_init(&error, 1024);
    int e = drop_privileges(config, &error);
    if (e < 0)
        log_write(LOG_ERROR, "worker_start_failed", F("error", buf_str(&error)),
                  F("part", "privileges"));
    else
        enter_sandbox(config, pool);
    secret_clear_registers(); /* all keys are read, and no other thread has started */
    return e;
}
