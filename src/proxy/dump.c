#include "dump.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "log.h"
#include "request_log.h"

static bool is_secret(struct str name)
{
    static const char *const secret[] = { "authorization", "x-api-key", "api-key", "cookie",
                                          "proxy-authorization" };
    for (size_t i = 0; i < ARRAY_LEN(secret); i++)
        if (str_eq(name, str_of(secret[i])))
            return true;
    return false;
}

static void write_dump(struct request *r, struct str body, struct buf *out)
{
    buf_add(out, S("{\"request_id\":"));
    json_write_str(out, r->id);
    buf_add(out, S(",\"method\":"));
    json_write_str(out, r->head.method);
    buf_add(out, S(",\"target\":"));
    json_write_str(out, r->head.target);
    buf_add(out, S(",\"headers\":["));
    for (size_t i = 0; i < r->head.headers.n; i++) {
        struct http_header h = r->head.headers.v[i];
        buf_add(out, i > 0 ? S(",[") : S("["));
        json_write_str(out, h.name);
        buf_add_byte(out, ',');
        json_write_str(out,
                       is_secret(h.name) ? S("***") : request_log_masked(r, &r->work, h.value));
        buf_add_byte(out, ']');
    }
    buf_add(out, S("],\"body\":"));
    buf_add(out, request_log_masked(r, &r->work, body));
    buf_add(out, S("}\n"));
}

void dump_request(struct request *r, struct str body)
{
    struct buf out;
    buf_init(&out, r->worker->config->max_body_bytes * 2 + 65536);
    write_dump(r, body, &out);
    struct str path = arena_printf(&r->work, STR_FMT "/codex_request_" STR_FMT ".json",
                                   STR_ARG(r->worker->config->dump_dir), STR_ARG(r->id));
    int fd = open(path.p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct str s = buf_str(&out);
    bool ok = fd >= 0 && write(fd, s.p, s.n) == (ssize_t)s.n;
    if (!ok)
        log_write(LOG_WARNING, "dump_failed", F("request_id", r->id), F("path", path),
                  F("error", strerror(errno)));
    if (fd >= 0)
        close(fd);
    buf_done(&out);
}
