/*
 * responses_request.h - the pieces of Responses' request decoder and encoder; for the files
 * responses_decode*.c and responses_encode*.c only.
 *
 * Contract
 *   Decoding   into c->request; texts are slices of the client's body or live in c->temp.
 *   Paths      of the client's request: "input.3.content".
 *   Errors     E_BAD_REQUEST by convert_reject() and convert_warn().
 */
#ifndef RESPONSES_REQUEST_H
#define RESPONSES_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "codec.h"

/* ---- decoding ---- */

/* What the parts of a content may be. */
enum {
    RESPONSES_TEXT = 1,
    RESPONSES_MEDIA = 2,
    RESPONSES_REFUSAL = 4,
};

struct responses_content {
    struct chat_block *first, *last;
    bool is_string; /* it was a plain string: one CHAT_TEXT, perhaps empty */
};

/* content: a string or an array of parts; NULL: nothing.  takes: a set of RESPONSES_. */
int responses_read_content(struct convert *c, struct json_node *content, struct str path,
                           unsigned takes, struct responses_content *ret) MUST_CHECK;
/* What a call gave back: a content, or a string that holds an array of parts as JSON (E31). */
int responses_read_output(struct convert *c, struct json_node *output, struct str path,
                          struct responses_content *ret) MUST_CHECK;

/* The items of `input`. */
int responses_read_items(struct convert *c, struct json_node *array) MUST_CHECK;
/* The last message when it has this role, else a new one: items of one side make one message. */
struct chat_message *responses_message(struct convert *c, enum chat_role role);
/* Calls and what they gave back.  *ret_known false: the type is another. */
int responses_read_call(struct convert *c, struct json_node *item, struct str type, struct str path,
                        bool *ret_known) MUST_CHECK;
int responses_read_result(struct convert *c, struct json_node *item, struct str type,
                          struct str path, bool *ret_known) MUST_CHECK;

int responses_read_tools(struct convert *c, struct json_node *array, struct str path) MUST_CHECK;
int responses_read_choice(struct convert *c) MUST_CHECK;

/* `reasoning` and `text.format`, of the request or of a configuration_update; NULL: nothing. */
int responses_read_effort(struct convert *c, struct json_node *reasoning, struct str path)
    MUST_CHECK;
int responses_read_format(struct convert *c, struct json_node *text, struct str path) MUST_CHECK;

/* ---- encoding ---- */

/* The members `instructions` and `input`. */
int responses_write_input(struct convert *c, struct json_out *o) MUST_CHECK;
/* The members `tools`, `tool_choice`, `parallel_tool_calls`. */
int responses_write_tools(struct convert *c, struct json_out *o) MUST_CHECK;

#endif
