#include "sources.h"

#include "adapter.h"
#include "arena.h"
#include "privilege.h"
#include "sockets.h"
#include "tls.h"
#include "upstreams.h"

static int check_tls(const struct config *c, struct buf *ret_error)
{
    SSL_CTX *server = NULL, *client = NULL;
    struct buf why CLEANUP(buf_done);
    const char *name = NULL;
    int e = 0;
    buf_init(&why, 4096);
    if (c->tls_cert_file.n > 0)
        e = tls_server_new(c->tls_cert_file.p, c->tls_key_file.p, &server, &why);
    if (e < 0) /* its message begins with the file's name */
        name = str_starts(buf_str(&why), c->tls_key_file) ? "TLS_KEY_FILE" : "TLS_CERT_FILE";
    else if (c->upstream_ca_file.n > 0 &&
             (e = tls_client_new(c->upstream_ca_file.p, &client, &why)) < 0)
        name = "UPSTREAM_CA_FILE";
    if (e < 0)
        buf_addf(ret_error, "%s: " STR_FMT, name, STR_ARG(buf_str(&why)));
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return e;
}

typedef void upstreams_use(void *ctx, const struct config *c, const struct upstreams *u);

/* Loads the upstreams and lets `use` look at them. */
static int with_upstreams(const struct config *c, upstreams_use *use, void *ctx,
                          struct buf *ret_error)
{
    struct arena a;
    struct upstream own[SERVICE_COUNT];
    struct upstreams *set = NULL;
    int e = 0;
    arena_init_secret(&a, 1 << 20);
    for (int s = 0; s < SERVICE_COUNT && e == 0; s++)
        e = upstream_init(&own[s], (enum service)s, c, &a, NULL, ret_error);
    if (e == 0)
        e = upstreams_load(c, own, NULL, &set, ret_error);
    if (e == 0)
        use(ctx, c, set);
    upstreams_free(set);
    arena_done(&a);
    return e;
}

static void check_only(void *ctx, const struct config *c, const struct upstreams *u)
{
    (void)ctx, (void)c, (void)u;
}

struct printing {
    const char *model; /* NULL: print everything */
    struct buf *out;
};

static void print(void *ctx, const struct config *c, const struct upstreams *u)
{
    struct printing *p = ctx;
    if (p->model != NULL)
        upstreams_print_route(u, c, str_of(p->model), p->out);
    else
        upstreams_print(u, p->out);
}

int sources_print(const struct config *config, const char *model, struct buf *out,
                  struct buf *ret_error)
{
    struct printing p = { model, out };
    return with_upstreams(config, print, &p, ret_error);
}

static int check_user(const struct config *c, struct buf *ret_error)
{
    struct privilege_user user;
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    int e = c->run_as_user.n > 0 ? privilege_find_user(c->run_as_user, &user, &why) : 0;
    if (e < 0)
        buf_addf(ret_error, "RUN_AS_USER: " STR_FMT, STR_ARG(buf_str(&why)));
    return e;
}

static int check_parts(const struct config *c, struct buf *ret_error, bool *ret_adapters)
{
    struct adapter_set *set = NULL;
    int e = sockets_check(c, ret_error);
    if (e == 0)
        e = check_user(c, ret_error);
    if (e == 0)
        e = with_upstreams(c, check_only, NULL, ret_error);
    if (e == 0)
        e = check_tls(c, ret_error);
    if (e == 0) {
        e = adapters_load(c, &set, ret_error);
        *ret_adapters = e < 0;
        adapters_free(set);
    }
    return e;
}

int sources_load(const struct sources *s, struct config *config, struct buf *ret_error,
                 bool *ret_adapters)
{
    *ret_adapters = false;
    int e = config_load(config, s->env_path, s->env_required, s->environment, s->options,
                        s->options_n, ret_error);
    if (e < 0)
        return e;
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 16 * 1024);
    e = check_parts(config, &why, ret_adapters);
    if (e < 0) { /* most messages begin with a setting's name */
        struct str text = buf_str(&why);
        config_add_place(config, str_slice(text, 0, str_index(text, ':')), ret_error);
        buf_add(ret_error, text);
        config_done(config);
    }
    return e;
}
