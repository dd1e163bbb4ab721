/*
 * What the names of origins stand for now.  A conn that is always busy would otherwise keep its
 * address for ever.
 */
#include "pool_internal.h"

#include "clock.h"
#include "must.h"

enum { LOOK_MS = 500 }; /* at the cache of dns.h, which knows when to ask */

static const enum pool_state in_service[] = { POOL_IDLE, POOL_BUSY };

static bool is_at(const struct pool_conn *c, const struct dns_answer *answer)
{
    for (int i = 0; i < answer->n; i++)
        if (conn_is_to(c->conn, &answer->address[i]))
            return true;
    return false;
}

static void on_found(void *ctx, int err, const struct dns_answer *answer)
{
    struct origin *o = ctx;
    struct pool *p = o->pool;
    o->query = NULL;
    if (err < 0 || answer->looked_up_ns == o->looked_up_ns)
        return;
    o->looked_up_ns = answer->looked_up_ns;
    for (size_t i = 0; i < ARRAY_LEN(in_service); i++) {
        list_each (it, tmp, &p->in[in_service[i]]) {
            struct pool_conn *c = list_entry(it, struct pool_conn, link);
            if (c->origin != o || is_at(c, answer))
                continue;
            if (c->state == POOL_IDLE)
                pool_close(c);
            else
                pool_drain(c);
        }
    }
}

static uint16_t port_reached(const struct origin *o)
{
    bool direct = o->settings.proxy == CONNECT_DIRECT;
    return direct ? o->settings.port : o->settings.proxy_port;
}

static void arm(struct pool *p)
{
    if (!timeout_armed(&p->names_timer))
        timeout_set(p->loop, &p->names_timer, LOOK_MS * NS_PER_MS);
}

void pool_on_names_timer(void *ctx)
{
    struct pool *p = ctx;
    list_each (it, tmp, &p->origins) {
        list_entry(it, struct origin, link)->in_use = false;
    }
    for (size_t i = 0; i < ARRAY_LEN(in_service); i++) {
        list_each (it, tmp, &p->in[in_service[i]]) {
            list_entry(it, struct pool_conn, link)->origin->in_use = true;
        }
    }
    list_each (it, tmp, &p->origins) {
        struct origin *o = list_entry(it, struct origin, link);
        if (!o->named || !o->in_use)
            continue;
        if (o->query == NULL)
            o->query = dns_find(p->dns, o->reached, port_reached(o), on_found, o);
        arm(p);
    }
}

void pool_watch_name(struct origin *o)
{
    o->looked_up_ns = 0; /* it may have been under way to an address that has gone since */
    arm(o->pool);
}
