#include "params.h"

#include <math.h>

#include "member.h"

enum param_type { /* sets of enum json_type */
                  TYPE_STRING = 1 << JSON_STRING,
                  TYPE_NUMBER = 1 << JSON_NUMBER,
                  TYPE_BOOL = 1 << JSON_BOOL,
                  TYPE_ARRAY = 1 << JSON_ARRAY,
                  TYPE_OBJECT = 1 << JSON_OBJECT,
                  TYPE_STRING_ARRAY = TYPE_STRING | TYPE_ARRAY,
                  TYPE_STRING_OBJECT = TYPE_STRING | TYPE_OBJECT,
                  TYPE_ANY = TYPE_STRING | TYPE_NUMBER | TYPE_BOOL | TYPE_ARRAY | TYPE_OBJECT,
                  TYPE_INTEGER = TYPE_NUMBER | 1 << 16,
};

struct row {
    unsigned type;
    struct str name[PROTOCOL_COUNT];
    unsigned char fate[PROTOCOL_COUNT][PROTOCOL_COUNT]; /* client, upstream */
};

#define MESSAGES PROTOCOL_MESSAGES
#define CHAT PROTOCOL_CHAT
#define RESPONSES PROTOCOL_RESPONSES

/* Without a second protocol (X = Y) whatever has a name is read and written. */
static const struct row rows[CHAT_PARAM_COUNT] = {
#define PARAM(id, type, a, c, r, ac, ar, ca, cr, ra, rc)         \
    [CHAT_PARAM_##id] = { TYPE_##type,                           \
                          { S_INIT(a), S_INIT(c), S_INIT(r) },   \
                          { { FATE_PASS, FATE_##ac, FATE_##ar }, \
                            { FATE_##ca, FATE_PASS, FATE_##cr }, \
                            { FATE_##ra, FATE_##rc, FATE_PASS } } },
#include "params.def"
#undef PARAM
};

/* What must be a number must be one that fits (EW3.9, E200). */
static bool integer_of(const struct json_node *n, int64_t *ret)
{
    double x;
    if (!json_number(n, &x) || !(x >= 0 && x <= 9007199254740992.0) || floor(x) != x)
        return false;
    *ret = (int64_t)x;
    return true;
}

static bool type_fits(unsigned type, const struct json_node *n)
{
    int64_t integer;
    double x;
    if ((type & 1u << json_type(n)) == 0)
        return false;
    if (json_type(n) == JSON_NUMBER && type != TYPE_ANY)
        return type == TYPE_INTEGER ? integer_of(n, &integer) : json_number(n, &x) && isfinite(x);
    return true;
}

static const char *type_text(unsigned type)
{
    switch (type) {
    case TYPE_STRING:
        return "a string";
    case TYPE_NUMBER:
        return "a number";
    case TYPE_INTEGER:
        return "an integer that is not negative";
    case TYPE_BOOL:
        return "true or false";
    case TYPE_ARRAY:
        return "an array";
    case TYPE_OBJECT:
        return "an object";
    case TYPE_STRING_ARRAY:
        return "a string or an array";
    default:
        return "a string or an object";
    }
}

static int find_row(enum protocol client, struct str name)
{
    for (int i = 0; i < CHAT_PARAM_COUNT; i++)
        if (name.n > 0 && str_eq(rows[i].name[client], name))
            return i;
    return -1;
}

static int take(struct convert *c, int i, struct json_node *n)
{
    struct str name = rows[i].name[c->options.client];
    if (!type_fits(rows[i].type, n))
        return convert_reject(c, name, "must be %s", type_text(rows[i].type));
    switch (rows[i].fate[c->options.client][c->options.upstream]) {
    case FATE_PASS:
    case FATE_CODE:
        c->request.params[i] = n;
        return 0;
    case FATE_WARN:
        if (json_type(n) == JSON_ARRAY && json_first(&c->doc, n) == NULL)
            return 0; /* an empty list says nothing: nothing is lost (E214) */
        return convert_warn(c, "dropped", name);
    case FATE_REJECT:
        return convert_reject(c, name, "is not supported by the upstream of this model");
    default:
        return 0;
    }
}

int params_decode(struct convert *c, struct json_node *root)
{
    bool seen[CHAT_PARAM_COUNT] = { false };
    int r = 0;
    for (struct json_node *n = json_first(&c->doc, root); n != NULL && r == 0; n = json_next(n)) {
        struct str name = json_name(&c->doc, n);
        int i = find_row(c->options.client, name);
        if (i >= 0 && seen[i])
            return convert_reject(c, name, "stands there twice");
        if (i >= 0)
            seen[i] = true;
        if (json_type(n) == JSON_NULL)
            continue;
        r = i >= 0 ? take(c, i, n) : convert_warn(c, "dropped", name);
    }
    return r;
}

void params_encode(struct convert *c, struct json_out *o)
{
    for (int i = 0; i < CHAT_PARAM_COUNT; i++)
        if (c->request.params[i] != NULL &&
            rows[i].fate[c->options.client][c->options.upstream] == FATE_PASS)
            json_out_member_raw(o, rows[i].name[c->options.upstream],
                                json_raw(&c->doc, c->request.params[i]));
}

struct json_node *params_node(const struct convert *c, enum chat_param p)
{
    return c->request.params[p];
}

struct str params_str(struct convert *c, enum chat_param p)
{
    struct json_node *n = c->request.params[p];
    return n == NULL ? S("") : json_string(&c->doc, n);
}

struct text params_text(struct convert *c, enum chat_param p)
{
    return text_of(&c->doc, c->temp, c->request.params[p]);
}

struct str params_raw(struct convert *c, enum chat_param p)
{
    struct json_node *n = c->request.params[p];
    return n == NULL ? S("") : json_compact(c->temp, json_raw(&c->doc, n));
}

bool params_true(const struct convert *c, enum chat_param p)
{
    return c->request.params[p] != NULL && json_is_true(c->request.params[p]);
}

int64_t params_integer(const struct convert *c, enum chat_param p)
{
    int64_t n = -1;
    return c->request.params[p] != NULL && integer_of(c->request.params[p], &n) ? n : -1;
}

struct str params_name(enum chat_param p, enum protocol protocol)
{
    return rows[p].name[protocol];
}

enum params_fate params_fate(enum chat_param p, enum protocol client, enum protocol upstream)
{
    return (enum params_fate)rows[p].fate[client][upstream];
}
