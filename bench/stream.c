/* Streams as the vendors send them. */
#include <string.h>

#include "session.h"

/* Pieces of a stream: what begins it, one delta, what ends it. */
struct shape {
    const char *begin, *delta, *end;
};

#define A_EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define A_START                                                                       \
    A_EVENT("message_start", ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","   \
                             "\"role\":\"assistant\",\"model\":\"m\",\"content\":[]," \
                             "\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}")
#define A_BLOCK(block) A_EVENT("content_block_start", ",\"index\":0,\"content_block\":" block)
#define A_DELTA(delta) A_EVENT("content_block_delta", ",\"index\":0,\"delta\":" delta)
#define A_END                                                             \
    A_EVENT("content_block_stop", ",\"index\":0")                         \
    A_EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"}," \
                             "\"usage\":{\"output_tokens\":77}")          \
    A_EVENT("message_stop", "")

#define C_CHUNK(delta, finish)                                                         \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1," \
    "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"logprobs\":null," \
    "\"finish_reason\":" finish "}]}\n\n"
#define C_CALL(rest) "{\"tool_calls\":[{\"index\":0," rest "}]}"

#define R_EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define R_RESPONSE(status, rest)                                                      \
    ",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\"," \
    "\"created_at\":1,\"status\":\"" status "\",\"model\":\"m\",\"output\":[]" rest "}"
#define R_START R_EVENT("response.created", R_RESPONSE("in_progress", ""))
#define R_ITEM(item)                      \
    R_EVENT("response.output_item.added", \
            ",\"sequence_number\":2,\"output_index\":0,\"item\":" item)
#define R_AT ",\"sequence_number\":4,\"item_id\":\"i_1\",\"output_index\":0"
#define R_END                     \
    R_EVENT("response.completed", \
            R_RESPONSE("completed", ",\"usage\":{\"input_tokens\":9,\"output_tokens\":77}"))

static const struct shape shapes[PROTOCOL_COUNT][SESSION_DELTA_COUNT] = {
    [PROTOCOL_MESSAGES] = {
        { A_START A_BLOCK("{\"type\":\"text\",\"text\":\"\"}"),
          A_DELTA("{\"type\":\"text_delta\",\"text\":\" some\\nwords\"}"), A_END },
        { A_START A_BLOCK("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"),
          A_DELTA("{\"type\":\"thinking_delta\",\"thinking\":\" let us see\"}"), A_END },
        { A_START A_BLOCK("{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"t\",\"input\":{}}"),
          A_DELTA("{\"type\":\"input_json_delta\",\"partial_json\":\"[\\\"abc\\\"]\"}"), A_END },
    },
    [PROTOCOL_CHAT] = {
        { C_CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null"),
          C_CHUNK("{\"content\":\" some\\nwords\"}", "null"),
          C_CHUNK("{}", "\"stop\"") "data: [DONE]\n\n" },
        { C_CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null"),
          C_CHUNK("{\"reasoning_content\":\" let us see\"}", "null"),
          C_CHUNK("{}", "\"stop\"") "data: [DONE]\n\n" },
        { C_CHUNK(C_CALL("\"id\":\"call_1\",\"type\":\"function\","
                         "\"function\":{\"name\":\"t\",\"arguments\":\"\"}"), "null"),
          C_CHUNK(C_CALL("\"function\":{\"arguments\":\"[\\\"abc\\\"]\"}"), "null"),
          C_CHUNK("{}", "\"tool_calls\"") "data: [DONE]\n\n" },
    },
    [PROTOCOL_RESPONSES] = {
        { R_START R_ITEM("{\"type\":\"message\",\"id\":\"i_1\",\"status\":\"in_progress\","
                         "\"role\":\"assistant\",\"content\":[]}")
          R_EVENT("response.content_part.added", R_AT ",\"content_index\":0,"
                  "\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}"),
          R_EVENT("response.output_text.delta", R_AT ",\"content_index\":0,"
                  "\"delta\":\" some\\nwords\",\"logprobs\":[]"), R_END },
        { R_START R_ITEM("{\"type\":\"reasoning\",\"id\":\"i_1\",\"summary\":[]}")
          R_EVENT("response.reasoning_summary_part.added", R_AT ",\"summary_index\":0,"
                  "\"part\":{\"type\":\"summary_text\",\"text\":\"\"}"),
          R_EVENT("response.reasoning_summary_text.delta", R_AT ",\"summary_index\":0,"
                  "\"delta\":\" let us see\""), R_END },
        { R_START R_ITEM("{\"type\":\"function_call\",\"id\":\"i_1\",\"call_id\":\"call_1\","
                         "\"name\":\"t\",\"arguments\":\"\",\"status\":\"in_progress\"}"),
          R_EVENT("response.function_call_arguments.delta", R_AT ",\"delta\":\"[\\\"abc\\\"]\""),
          R_END },
    },
};

struct str session_piece(enum protocol p, enum session_delta kind, enum session_piece piece)
{
    const struct shape *s = &shapes[p][kind];
    const char *pieces[] = {
        [SESSION_BEGIN] = s->begin, [SESSION_DELTA] = s->delta, [SESSION_END] = s->end
    };
    return str_of(pieces[piece]);
}

void session_stream(enum protocol p, enum session_delta kind, size_t deltas, struct buf *out)
{
    const struct shape *s = &shapes[p][kind];
    struct str delta = str_of(s->delta);
    buf_add(out, str_of(s->begin));
    for (size_t i = 0; i < deltas; i++)
        buf_add(out, delta);
    buf_add(out, str_of(s->end));
}
