/* The looks of json_edit.h: types, children, pointers. */
#include "json_edit.h"

#include <stdlib.h>
#include <string.h>

#include "json_node.h"
#include "json_scan.h"
#include "mem.h"

enum { SMALL_DIGITS_MAX = 15 }; /* a double has them all */

struct json_node *json_root(struct json_edit *e)
{
    return e->root;
}

enum json_type json_type(const struct json_node *n)
{
    return (enum json_type)n->type;
}

struct str json_string(struct json_edit *e, struct json_node *n)
{
    if (n == NULL || n->type != JSON_STRING)
        return (struct str){ NULL, 0 };
    return json_unescape(e->arena, n->raw);
}

bool json_is_true(const struct json_node *n)
{
    return n != NULL && n->type == JSON_BOOL && n->raw.p[0] == 't';
}

bool json_number(const struct json_node *n, double *ret_x)
{
    if (n == NULL || n->type != JSON_NUMBER)
        return false;
    uint64_t small;
    if (n->raw.n <= SMALL_DIGITS_MAX && str_to_u64(n->raw, &small) == 0) {
        *ret_x = (double)small;
        return true;
    }
    if (str_to_double(n->raw, ret_x) == 0)
        return true;
    char *text = mem_strndup(n->raw.p, n->raw.n); /* a very long one */
    *ret_x = strtod(text, NULL);
    free(text);
    return true;
}

void json_note(struct json_node *n)
{
    n->noted = true;
    if (n->parent != NULL)
        n->parent->has_noted = true;
}

bool json_noted(const struct json_node *n)
{
    return n->noted;
}

bool json_has_noted(const struct json_node *n)
{
    return n->has_noted;
}

static bool has_children(struct json_edit *e, struct json_node *n)
{
    if (n == NULL || (n->type != JSON_OBJECT && n->type != JSON_ARRAY))
        return false;
    json_node_index(e, n);
    return n->first != NULL;
}

struct json_node *json_find(struct json_edit *e, struct json_node *object, struct str name)
{
    if (object == NULL || object->type != JSON_OBJECT || !has_children(e, object))
        return NULL;
    struct json_node *n = object->last;
    while (n != NULL && !json_quoted_is(n->name, name))
        n = n->prev;
    return n;
}

struct json_node *json_first(struct json_edit *e, struct json_node *container)
{
    return has_children(e, container) ? container->first : NULL;
}

struct json_node *json_last(struct json_edit *e, struct json_node *container)
{
    return has_children(e, container) ? container->last : NULL;
}

struct json_node *json_next(struct json_node *n)
{
    return n != NULL ? n->next : NULL;
}

struct json_node *json_parent(struct json_node *n)
{
    return n != NULL ? n->parent : NULL;
}

struct str json_name(struct json_edit *e, struct json_node *n)
{
    if (n == NULL || n->name.n == 0)
        return (struct str){ NULL, 0 };
    return json_unescape(e->arena, n->name);
}

size_t json_count(struct json_edit *e, struct json_node *container)
{
    size_t count = 0;
    for (struct json_node *n = json_first(e, container); n != NULL; n = n->next)
        count++;
    return count;
}

static struct json_node *element(struct json_edit *e, struct json_node *array, struct str token)
{
    if (str_eq(token, S("-")))
        return json_last(e, array);
    uint64_t i;
    if (str_to_u64(token, &i) < 0 || (token.n > 1 && token.p[0] == '0'))
        return NULL;
    struct json_node *n = json_first(e, array);
    while (n != NULL && i > 0) {
        n = n->next;
        i--;
    }
    return n;
}

struct json_node *json_at(struct json_edit *e, struct str pointer)
{
    struct json_node *n = e->root;
    struct str token;
    while (n != NULL && json_pointer_next(&pointer, e->arena, &token))
        n = n->type == JSON_ARRAY ? element(e, n, token) : json_find(e, n, token);
    return pointer.n == 0 ? n : NULL;
}

bool json_pointer_next(struct str *rest, struct arena *a, struct str *ret_token)
{
    if (rest->n == 0 || rest->p[0] != '/')
        return false;
    struct str body = str_slice(*rest, 1, rest->n);
    struct str token = str_slice(body, 0, str_index(body, '/'));
    struct str left = str_slice(body, token.n, body.n);
    if (str_index(token, '~') < token.n) {
        char *out = arena_new(a, char, token.n);
        size_t n = 0;
        for (size_t i = 0; i < token.n; i++) {
            char c = token.p[i];
            if (c == '~') {
                c = ++i < token.n ? token.p[i] : '\0';
                if (c != '0' && c != '1')
                    return false;
                c = c == '0' ? '~' : '/';
            }
            out[n++] = c;
        }
        token = (struct str){ out, n };
    }
    *ret_token = token;
    *rest = left;
    return true;
}
