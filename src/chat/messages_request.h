/*
 * messages_request.h - what the files of Messages' requests share; for them only.
 *
 *     messages_decode.c   the request's settings        messages_encode.c   the body
 *     messages_content.c  system, messages, blocks      messages_turns.c    turns, blocks
 *     messages_tools.c    tools, tool_choice
 */
#ifndef MESSAGES_REQUEST_H
#define MESSAGES_REQUEST_H

#include "codec.h"

/* ---- decoding ---- */

int messages_decode_conversation(struct convert *c) MUST_CHECK; /* system, messages */
int messages_decode_tools(struct convert *c) MUST_CHECK;        /* tools, tool_choice */
/* One entry of tools, or an inline definition of a tool_addition block. */
int messages_decode_tool(struct convert *c, struct json_node *n, struct str path) MUST_CHECK;
/* Of the cache_control of a block or a tool. */
enum chat_cache messages_cache(struct convert *c, struct json_node *n);

/* ---- encoding ---- */

/* Leaves out what Messages refuses and what must not be sent: blank texts, reasoning of others,
 * white space at the end; brings later system messages into a place that is legal there. */
int messages_prepare_turns(struct convert *c) MUST_CHECK;
/* After messages_prepare_turns(): has the last assistant turn calls, but no thinking? */
bool messages_bare_calls(const struct convert *c);
/* The first message that is no leading SYSTEM or DEVELOPER. */
struct chat_message *messages_after_system(const struct convert *c);

struct messages_writer {
    struct convert *c;
    struct json_out *o;
    uint32_t skip; /* so many cache marks, from here on, are left out */
};

uint32_t messages_count_marks(const struct chat_message *from, const struct chat_message *to);
void messages_write_mark(struct messages_writer *w, enum chat_cache cache);
int messages_write_blocks(struct messages_writer *w, const struct chat_block *b) MUST_CHECK;
int messages_write_turns(struct messages_writer *w) MUST_CHECK; /* the array */

#endif
