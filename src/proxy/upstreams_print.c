/* The upstreams and routes as text for people: what `cc-proxy check` prints. */
#include "json.h"
#include "upstreams_set.h"

static const char *const stream_names[] = {
    [UPSTREAM_STREAM_AUTO] = "auto",
    [UPSTREAM_STREAM_ALWAYS] = "always",
    [UPSTREAM_STREAM_NEVER] = "never",
};

static void add_quoted(struct buf *out, const char *before, struct str value, const char *after)
{
    buf_add(out, str_of(before));
    json_write_str(out, value); /* which YAML reads too */
    buf_add(out, str_of(after));
}

static struct str profile_name(const struct upstream *u)
{
    struct profile p;
    upstream_profile(u, S(""), &p);
    return p.name;
}

static void print_upstream(const struct upstreams *set, size_t i, struct buf *out)
{
    const struct upstream *u = &set->upstreams[i];
    const struct upstream_profile *p = &u->profile;
    buf_addf(out, "  " STR_FMT ":\n", STR_ARG(u->name));
    add_quoted(out, "    base_url: ", set->settings[i].base_url, "\n");
    buf_addf(out, "    protocol: %s\n    profile: " STR_FMT "%s\n", protocol_name(u->protocol),
             STR_ARG(profile_name(u)), p->name.n > 0 ? "" : " # by host");
    buf_addf(out, "    key: %s\n", u->key.n > 0 ? "'***'" : "null # the client's");
    if (set->settings[i].proxy.n > 0)
        buf_addf(out, "    proxy: %s\n",
                 str_eq(set->settings[i].proxy, S("none")) ? "none" : "'***'");
    if (set->ca_files[i].n > 0)
        add_quoted(out, "    ca_file: ", set->ca_files[i], "\n");
    buf_addf(out, "    stream: %s\n", stream_names[u->stream]);
    if (p->override_count > 0)
        buf_add(out, S("    settings:\n"));
    for (size_t k = 0; k < p->override_count; k++) {
        buf_addf(out, "      " STR_FMT ": ", STR_ARG(p->overrides[k].setting));
        add_quoted(out, "", p->overrides[k].value, "\n");
    }
}

static void print_row(const struct route_row *row, struct buf *out)
{
    const struct upstream_route *to = &row->to[0];
    add_quoted(out, "      - { model: ", row->glob, ", upstream: ");
    add_quoted(out, "", row->is_default ? S("default") : to->upstream->name, "");
    if (to->model.n > 0)
        add_quoted(out, ", upstream_model: ", to->model, "");
    buf_add(out, S(" }\n"));
}

static void print_table(enum service service, const struct route_table *t, struct buf *out)
{
    buf_addf(out, "  %s:\n    strict: %s\n", service_name(service), t->strict ? "true" : "false");
    if (t->n > 0)
        buf_add(out, S("    routes:\n"));
    for (size_t i = 0; i < t->n; i++)
        print_row(&t->rows[i], out);
}

void upstreams_print(const struct upstreams *u, struct buf *out)
{
    bool services = false;
    if (u->path.n == 0)
        return;
    buf_addf(out, "\n# " STR_FMT "\n", STR_ARG(u->path));
    if (u->n > 0)
        buf_add(out, S("upstreams:\n"));
    for (size_t i = 0; i < u->n; i++)
        print_upstream(u, i, out);
    for (int s = 0; s < SERVICE_COUNT; s++) {
        if (!u->tables[s].given)
            continue;
        if (!services)
            buf_add(out, S("services:\n"));
        services = true;
        print_table((enum service)s, &u->tables[s], out);
    }
}

static void print_route(const struct upstreams *u, enum service service, enum protocol came_in,
                        struct str model, struct buf *out)
{
    const struct upstream_route *to = upstreams_route(u, service, came_in, model);
    struct str sent = to->model.n > 0 ? to->model : model;
    struct profile p;
    upstream_profile(to->upstream, sent, &p);
    buf_addf(out, "%-8s %-10s -> %-16.*s %-10s profile %-11.*s model ", service_name(service),
             protocol_name(came_in), STR_ARG(to->upstream->name), protocol_name(to->protocol),
             STR_ARG(p.name));
    add_quoted(out, "", sent, " ");
    buf_add(out, to->upstream->base_url);
    buf_add_byte(out, '\n');
}

void upstreams_print_route(const struct upstreams *u, const struct config *config, struct str model,
                           struct buf *out)
{
    for (int s = 0; s < SERVICE_COUNT; s++) {
        bool runs = str_eq_nocase(config->services, S("both")) ||
                    str_eq_nocase(config->services, str_of(service_name((enum service)s)));
        for (int p = 0; p < PROTOCOL_COUNT && runs; p++)
            print_route(u, (enum service)s, (enum protocol)p, model, out);
    }
}
