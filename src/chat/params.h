/*
 * params.h - the top-level members of a request, by the rows of params.def.
 */
#ifndef PARAMS_H
#define PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "codec.h"

enum params_fate { FATE_NONE, FATE_PASS, FATE_CODE, FATE_DROP, FATE_WARN, FATE_REJECT };

/* Reads the members of the client's body: unknown ones are warned about; wrong types and, at this
 * level, duplicates are 400; each pair's DROP, WARN and REJECT is done.  Then
 * c->request.params holds the CODE and PASS ones. */
int params_decode(struct convert *c, struct json_node *root) MUST_CHECK;
/* Writes the PASS ones under the upstream's names. */
void params_encode(struct convert *c, struct json_out *o);

struct json_node *params_node(const struct convert *c, enum chat_param p); /* NULL: absent */
struct str params_str(struct convert *c, enum chat_param p); /* plain; empty when absent */
struct text params_text(struct convert *c, enum chat_param p);
struct str params_raw(struct convert *c, enum chat_param p); /* compacted; empty when absent */
bool params_true(const struct convert *c, enum chat_param p);
/* -1 when absent; a value that is no integer was rejected by params_decode(). */
int64_t params_integer(const struct convert *c, enum chat_param p);

/* For documentation and --explain. */
struct str params_name(enum chat_param p, enum protocol protocol); /* empty: has none */
enum params_fate params_fate(enum chat_param p, enum protocol client, enum protocol upstream);

#endif
