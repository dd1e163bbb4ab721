#include "convert_command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "buf.h"
#include "clock.h"
#include "convert.h"
#include "err.h"
#include "json.h"
#include "params.h"

enum { INPUT_BYTES_MAX = 256 * 1024 * 1024, READ_BYTES = 64 * 1024 };

struct job {
    const struct options *options;
    struct str kind;
    struct profile profile;
    struct convert *convert;
    struct arena arena;
    struct buf request; /* the client's; empty: none is given */
    struct buf in, out;
};

static int complain(struct str what)
{
    fprintf(stderr, "cc-proxy convert: " STR_FMT "\n", STR_ARG(what));
    return 2;
}

static bool protocol_of(const char *name, enum protocol *ret)
{
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (name != NULL && strcmp(name, protocol_name((enum protocol)p)) == 0) {
            *ret = (enum protocol)p;
            return true;
        }
    return false;
}

static bool read_all(FILE *f, struct buf *to)
{
    for (;;) {
        char *p = buf_reserve(to, READ_BYTES);
        size_t n = p == NULL ? 0 : fread(p, 1, READ_BYTES, f);
        if (p == NULL || ferror(f))
            return false;
        if (n == 0)
            return true;
        buf_commit(to, n);
    }
}

static void write_out(struct job *j)
{
    struct str s = buf_str(&j->out);
    if (s.n > 0)
        fwrite(s.p, 1, s.n, stdout);
    fflush(stdout);
    buf_clear(&j->out);
}

/* ---- requests ---- */

static void explain(const struct convert_options *o)
{
    static const char *const fates[] = {
        [FATE_NONE] = "-",
        [FATE_PASS] = "passed on",
        [FATE_CODE] = "mapped",
        [FATE_DROP] = "left out",
        [FATE_WARN] = "left out, with a warning",
        [FATE_REJECT] = "refused",
    };
    for (int p = 0; p < CHAT_PARAM_COUNT; p++) {
        struct str name = params_name((enum chat_param)p, o->client);
        if (name.n > 0)
            fprintf(stderr, "%-24.*s %s\n", STR_ARG(name),
                    fates[params_fate((enum chat_param)p, o->client, o->upstream)]);
    }
    fprintf(stderr, "%-24s %s\n", "(any other)", fates[FATE_WARN]);
}

/* Those of the request at hand. */
static void explain_members(struct job *j)
{
    struct buf lines CLEANUP(buf_done);
    buf_init(&lines, INPUT_BYTES_MAX);
    convert_explain(j->convert, &lines);
    if (buf_len(&lines) > 0)
        fprintf(stderr, "\n" STR_FMT, STR_ARG(buf_str(&lines)));
}

static int run_request(struct job *j, struct str body, struct buf *out)
{
    const struct options *o = j->options;
    bool same = strcmp(o->from, o->to) == 0; /* nothing to convert but the reply's streaming */
    int r = same ? convert_adopt(j->convert, &j->arena, body, !o->plain)
                 : convert_request(j->convert, &j->arena, body, out);
    if (r == 0 && same)
        buf_add(out, body);
    if (o->explain && r == 0 && !same)
        explain_members(j);
    if (r < 0) {
        struct str why = convert_error(j->convert);
        complain(why.n > 0 ? why : str_of(err_row(r)->text));
        return 1;
    }
    return 0;
}

/* ---- replies ---- */

/* The request that is answered: the one given, or the shortest that asks for the right thing. */
static int begin_reply(struct job *j, enum protocol client)
{
    static const struct str bodies[PROTOCOL_COUNT] = {
        S_INIT("{\"model\":\"m\",\"max_tokens\":1024,\"messages\":[{\"role\":\"user\","
               "\"content\":\"?\"}],\"stream\":%s}"),
        S_INIT("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"?\"}],"
               "\"stream\":%s}"),
        S_INIT("{\"model\":\"m\",\"input\":\"?\",\"stream\":%s}"),
    };
    struct buf ignored;
    buf_init(&ignored, INPUT_BYTES_MAX);
    if (j->options->request == NULL) {
        struct str body = bodies[client];
        size_t at = str_find(body, S("%s"));
        buf_add(&j->request, str_slice(body, 0, at));
        buf_add(&j->request, j->options->plain ? S("false") : S("true"));
        buf_add(&j->request, str_slice(body, at + 2, body.n));
    }
    int r = run_request(j, buf_str(&j->request), &ignored);
    buf_done(&ignored);
    return r;
}

static int show_failure(struct job *j, enum protocol client, int r)
{
    const struct event_error *error = convert_failure(j->convert);
    struct event_error other = { .status = 502, .message = str_of(err_row(r)->text) };
    buf_clear(&j->out);
    int status = convert_error_write(client, error != NULL ? error : &other, S("req_0"), &j->out);
    fprintf(stderr, "HTTP %d\n", status);
    write_out(j);
    return 1;
}

static int feed(struct job *j, struct str bytes)
{
    size_t chunk = j->options->chunk == OPTIONS_UNSET || j->options->chunk == 0
                       ? bytes.n
                       : (size_t)j->options->chunk;
    int r = 0;
    for (size_t at = 0; at < bytes.n && r == 0; at += chunk) {
        r = convert_feed(j->convert, str_slice(bytes, at, at + chunk), &j->out);
        if (convert_begun(j->convert))
            write_out(j);
    }
    return r;
}

/* A live stream: what is there is converted at once. */
static int run_stream(struct job *j)
{
    static char bytes[READ_BYTES];
    ssize_t n;
    int r = 0;
    while (r == 0 && (n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
        r = feed(j, (struct str){ bytes, (size_t)n });
    if (r == 0)
        r = convert_end(j->convert, &j->out);
    return r;
}

static int run_reply(struct job *j, enum protocol client)
{
    int r = begin_reply(j, client);
    if (r != 0)
        return r;
    if (str_eq(j->kind, S("stream")))
        r = run_stream(j);
    else if (!read_all(stdin, &j->in))
        return complain(S("cannot read the input"));
    else
        r = convert_body(j->convert, buf_str(&j->in), &j->out);
    if (r < 0)
        return show_failure(j, client, r);
    write_out(j);
    return convert_failure(j->convert) != NULL ? 1 : 0;
}

static int run_error(struct job *j, enum protocol client)
{
    struct event_error error;
    int status = j->options->status == OPTIONS_UNSET ? 500 : (int)j->options->status;
    if (!read_all(stdin, &j->in))
        return complain(S("cannot read the input"));
    convert_error_read(&j->arena, status, buf_str(&j->in), &error);
    fprintf(stderr, "HTTP %d\n", convert_error_write(client, &error, S("req_0"), &j->out));
    write_out(j);
    return 0;
}

/* ---- the command ---- */

static int read_request(struct job *j)
{
    if (str_eq(j->kind, S("request")))
        return read_all(stdin, &j->request) ? 0 : complain(S("cannot read the input"));
    if (j->options->request == NULL)
        return 0;
    FILE *f = fopen(j->options->request, "rb");
    bool ok = f != NULL && read_all(f, &j->request);
    if (f != NULL)
        fclose(f);
    return ok ? 0 : complain(S("cannot read the file of --request"));
}

/* What the upstream knows it by: its family tells much of what it accepts. */
static struct str model_of(struct job *j)
{
    yyjson_doc *doc;
    if (j->options->model != NULL)
        return str_of(j->options->model);
    if (json_parse(buf_str(&j->request), &doc, NULL) < 0)
        return S("");
    struct str name = arena_str(&j->arena, json_member_str(yyjson_doc_get_root(doc), S("model")));
    yyjson_doc_free(doc);
    return name;
}

static int resolve_profile(struct job *j)
{
    struct profile_override overrides[OPTIONS_SETTINGS_MAX];
    struct buf why CLEANUP(buf_done);
    const struct options *o = j->options;
    buf_init(&why, 4096);
    for (size_t i = 0; i < o->settings_n; i++)
        overrides[i] =
            (struct profile_override){ str_of(o->settings[i].name), str_of(o->settings[i].value) };
    if (profile_resolve(&j->profile, o->profile != NULL ? str_of(o->profile) : S("default"),
                        S("localhost"), model_of(j), overrides, o->settings_n, &why) < 0)
        return complain(buf_str(&why));
    return 0;
}

static int run(struct job *j, enum protocol from, enum protocol to)
{
    const struct options *o = j->options;
    bool request = str_eq(j->kind, S("request"));
    enum protocol client = request ? from : to;
    struct convert_options options = {
        .client = client,
        .upstream = request ? to : from,
        .profile = &j->profile,
        .upstream_name = str_of(o->upstream != NULL ? o->upstream : "default"),
        .upstream_model = str_of(o->model),
        .reply_id = S("0123456789abcdefghijklmn"),
        .now_s = o->now == OPTIONS_UNSET ? (int64_t)time(NULL) : (int64_t)o->now,
        .strict = o->strict,
        .explain = o->explain,
        .reply_limit_bytes = INPUT_BYTES_MAX,
    };
    j->convert = convert_new(&options);
    if (o->explain)
        explain(&options);
    if (str_eq(j->kind, S("error")))
        return run_error(j, client);
    if (str_eq(j->kind, S("reply")) || str_eq(j->kind, S("stream")))
        return run_reply(j, client);
    if (!request)
        return complain(S("--kind is request, reply, stream or error"));
    int r = run_request(j, buf_str(&j->request), &j->out);
    if (r == 0)
        write_out(j);
    return r;
}

/* Of the request, and of its reply. */
static void show_warnings(const struct convert *c)
{
    struct str warnings = c != NULL ? convert_warnings(c) : S("");
    if (warnings.n > 0)
        fprintf(stderr, "x-cc-proxy-warning: " STR_FMT "\n", STR_ARG(warnings));
}

int convert_command(const struct options *o)
{
    struct job j = { .options = o, .kind = str_of(o->kind != NULL ? o->kind : "request") };
    enum protocol from, to;
    if (!protocol_of(o->from, &from) || !protocol_of(o->to, &to))
        return complain(S("--from and --to are messages, chat or responses"));
    arena_init(&j.arena, SIZE_MAX);
    buf_init(&j.request, INPUT_BYTES_MAX);
    buf_init(&j.in, INPUT_BYTES_MAX);
    buf_init(&j.out, INPUT_BYTES_MAX);
    int r = read_request(&j);
    if (r == 0)
        r = resolve_profile(&j);
    if (r == 0)
        r = run(&j, from, to);
    show_warnings(j.convert);
    convert_free(j.convert);
    buf_done(&j.request);
    buf_done(&j.in);
    buf_done(&j.out);
    arena_done(&j.arena);
    return r;
}
