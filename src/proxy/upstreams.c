#include "upstreams.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"
#include "rule_file.h"
#include "upstreams_set.h"

static const char default_path[] = "cc-proxy.yaml";

/* Some 200 bytes a node of the tree, and the texts, most of them twice. */
enum { SET_MAX = 64 << 20 };

const char *upstreams_path(const struct config *config)
{
    return config->config_file.n > 0 ? config->config_file.p : default_path;
}

const struct upstream *upstreams_find(const struct upstreams *u, struct str name)
{
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        if (str_eq(u->own[i].name, name))
            return &u->own[i];
    }
    for (size_t i = 0; i < u->n; i++) {
        if (str_eq(u->upstreams[i].name, name))
            return &u->upstreams[i];
    }
    return NULL;
}

size_t upstreams_of_service(const struct upstreams *u, enum service service,
                            const struct upstream *ret[UPSTREAMS_MAX + 1])
{
    const struct route_table *t = &u->tables[service];
    size_t n = 0;
    ret[n++] = &u->own[service];
    for (size_t i = 0; i < t->n; i++) {
        const struct upstream *to = t->rows[i].to[0].upstream;
        bool seen = false;
        for (size_t k = 0; k < n; k++)
            seen |= ret[k] == to;
        if (!seen && n <= UPSTREAMS_MAX)
            ret[n++] = to;
    }
    return n;
}

void upstreams_aim(const struct upstreams *u, enum service service, struct route_row *row,
                   const struct upstream *upstream, struct str model)
{
    row->is_default = upstream == NULL;
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        enum protocol came_in = (enum protocol)p;
        const struct upstream *to = upstream != NULL ? upstream : &u->own[service];
        row->to[p] = (struct upstream_route){
            .upstream = to,
            .protocol = upstream_protocol(to, came_in),
            .model = model,
        };
    }
}

const struct upstream_route *upstreams_route(const struct upstreams *u, enum service service,
                                             enum protocol came_in, struct str model)
{
    must(service < SERVICE_COUNT);
    must(came_in < PROTOCOL_COUNT);
    const struct route_table *t = &u->tables[service];
    for (size_t i = 0; i < t->n; i++) {
        if (str_glob(t->rows[i].glob, model))
            return &t->rows[i].to[came_in];
    }
    return &t->otherwise.to[came_in];
}

static struct upstreams *new_set(const struct upstream *own)
{
    struct upstreams *u = mem_new(struct upstreams);
    arena_init_secret(&u->arena, SET_MAX);
    u->own = own;
    for (int s = 0; s < SERVICE_COUNT; s++)
        upstreams_aim(u, (enum service)s, &u->tables[s].otherwise, NULL, S(""));
    return u;
}

int upstreams_parse(const struct config *config, const struct upstream own[SERVICE_COUNT],
                    struct pool *pool, struct str path, struct str text, struct upstreams **ret,
                    struct buf *ret_error)
{
    struct upstreams *u = new_set(own);
    const struct yaml_tree *root;
    struct yaml_fault fault;
    u->path = arena_str(&u->arena, path);
    int e = yaml_tree_read(&u->arena, text, &root, &fault);
    if (e < 0)
        buf_addf(ret_error, "file " STR_FMT ", line %zu, column %zu: %s",
                 STR_ARG(str_slice(path, 0, 1024)), fault.place.line, fault.place.column,
                 fault.reason);
    else
        e = upstreams_read(u, config, pool, root, ret_error);
    if (e < 0) {
        upstreams_free(u);
        return e;
    }
    *ret = u;
    return 0;
}

int upstreams_load(const struct config *config, const struct upstream own[SERVICE_COUNT],
                   struct pool *pool, struct upstreams **ret, struct buf *ret_error)
{
    struct str path = str_of(upstreams_path(config)), text;
    struct arena scratch;
    struct buf why CLEANUP(buf_done);
    buf_init(&why, 1024);
    if (config->config_file.n == 0 && access(path.p, F_OK) < 0 && errno == ENOENT) {
        *ret = new_set(own);
        return 0;
    }
    arena_init_secret(&scratch, 4 * RULE_FILE_MAX);
    int e = rule_file_read(&scratch, path, &text, &why);
    if (e < 0)
        buf_addf(ret_error, "CONFIG_FILE: " STR_FMT, STR_ARG(buf_str(&why)));
    else
        e = upstreams_parse(config, own, pool, path, text, ret, ret_error);
    arena_done(&scratch);
    return e;
}

void upstreams_free(struct upstreams *u)
{
    if (u == NULL)
        return;
    for (size_t i = 0; i < u->n; i++)
        SSL_CTX_free(u->tls[i]);
    arena_done(&u->arena);
    free(u);
}
