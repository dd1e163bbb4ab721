/*
 * A configuration as bytes, for a worker process of the same binary: a magic
 * word, then numbers as 32 bits little-endian and texts as length and bytes.
 * Numbers of settings are not sent; the texts are parsed again.
 */
#include <errno.h>
#include <string.h>

#include "config_row.h"
#include "mem.h"

#define MAGIC UINT32_C(0x31664343) /* "CCf1"; CONFIG_COUNT follows it */

static void put_u32(struct buf *out, size_t n)
{
    must(n <= UINT32_MAX);
    char bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (char)(unsigned char)(n >> (8 * i));
    buf_add(out, (struct str){ bytes, sizeof(bytes) });
}

static void put_str(struct buf *out, struct str s)
{
    put_u32(out, s.n);
    buf_add(out, s);
}

void config_encode(const struct config *c, struct buf *out)
{
    put_u32(out, MAGIC);
    put_u32(out, CONFIG_COUNT);
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        put_u32(out, c->source[i]);
        put_u32(out, (size_t)c->line[i]);
        put_str(out, str_of(c->text[i]));
    }
    put_u32(out, c->env_file != NULL);
    put_str(out, str_of(c->env_file));
    put_str(out, buf_str(&c->warnings));
    put_u32(out, c->pair_count);
    for (size_t i = 0; i < c->pair_count; i++) {
        put_str(out, str_of(c->pairs[i].name));
        put_str(out, str_of(c->pairs[i].value));
    }
}

/* Sticky: after the first bad item everything is empty. */
struct reader {
    struct str rest;
    bool bad;
};

static struct str get_bytes(struct reader *r, size_t n)
{
    if (r->bad || n > r->rest.n) {
        r->bad = true;
        return S("");
    }
    struct str s = str_slice(r->rest, 0, n);
    r->rest = str_slice(r->rest, n, r->rest.n);
    return s;
}

static uint32_t get_u32(struct reader *r)
{
    struct str s = get_bytes(r, 4);
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n |= (uint32_t)(unsigned char)s.p[i] << (8 * i);
    return n;
}

static struct str get_str(struct reader *r)
{
    return get_bytes(r, get_u32(r));
}

static void read_settings(struct reader *r, struct config *c)
{
    struct buf why;
    buf_init(&why, 1024);
    for (size_t i = 0; i < CONFIG_COUNT; i++) {
        uint32_t source = get_u32(r), line = get_u32(r);
        struct str text = get_str(r);
        if (source > SOURCE_OPTION || line > INT32_MAX || config_row_set(c, i, text, &why) < 0) {
            r->bad = true;
            break;
        }
        c->source[i] = (enum config_source)source;
        c->line[i] = (int)line;
    }
    buf_done(&why);
}

int config_decode(struct config *c, struct str bytes)
{
    struct reader r = { bytes, false };
    *c = (struct config){ .env_file = NULL };
    if (get_u32(&r) != MAGIC || get_u32(&r) != CONFIG_COUNT)
        return -EINVAL;
    read_settings(&r, c);
    bool has_file = get_u32(&r) != 0;
    struct str file = get_str(&r), warnings = get_str(&r);
    if (has_file)
        c->env_file = mem_strndup(file.p, file.n);
    buf_init(&c->warnings, warnings.n);
    buf_add(&c->warnings, warnings);
    for (uint32_t n = get_u32(&r); n > 0 && !r.bad; n--) {
        struct str name = get_str(&r), value = get_str(&r);
        if (!r.bad)
            config_pair_add(c, name, value);
    }
    if (r.bad || r.rest.n > 0) {
        config_done(c);
        return -EINVAL;
    }
    config_derive(c);
    return 0;
}
