#include "session.h"

#include <stdio.h>

#include "json_out.h"

enum { TOOLS = 40, PIECE_BYTES_MAX = 8 * 1024 };

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return *seed >> 33;
}

/* ---- texts ---- */

static void add_prose(struct buf *out, uint64_t *seed, size_t bytes)
{
    static const struct str words[] = {
        S_INIT("the "),      S_INIT("server "),   S_INIT("reads "), S_INIT("a "),
        S_INIT("request, "), S_INIT("converts "), S_INIT("it.\n"),  S_INIT("then "),
        S_INIT("请求 "),     S_INIT("转换为 "),   S_INIT("é "),     S_INIT("\"quoted\" "),
    };
    for (size_t end = buf_len(out) + bytes; buf_len(out) < end;)
        buf_add(out, words[next_random(seed) % ARRAY_LEN(words)]);
}

static void add_code(struct buf *out, uint64_t *seed, size_t bytes)
{
    static const struct str lines[] = {
        S_INIT("static int read_line(struct reader *r, const char *name)\n{\n"),
        S_INIT("\tif (strcmp(name, \"\\n\") == 0 || *p == '\\\\')\n\t\treturn -EINVAL;\n"),
        S_INIT("\tprintf(\"%s: \\\"%d\\\" items\\t\\x1b[0m\\n\", path, count);\n}\n\n"),
        S_INIT("    /* C:\\temp\\new is a path */\n"),
    };
    for (size_t end = buf_len(out) + bytes; buf_len(out) < end;)
        buf_add(out, lines[next_random(seed) % ARRAY_LEN(lines)]);
}

/* ---- requests ---- */

struct writer {
    enum protocol p;
    struct json_out o;
    struct buf *piece; /* the text at hand */
    uint64_t seed;
    unsigned calls;
};

static void write_schema(struct writer *w)
{
    json_out_raw(&w->o, S("{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\","
                          "\"description\":\"An absolute path, of a file that exists.\"},"
                          "\"lines\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}},"
                          "\"mode\":{\"enum\":[\"read\",\"write\"]}},\"required\":[\"path\"],"
                          "\"additionalProperties\":false}"));
}

static void write_tool(struct writer *w, unsigned i)
{
    char name[] = "tool_00";
    struct str about = S("Reads a file of the project, or writes it.\nUse \"mode\" to say which.");
    name[5] = (char)('0' + i / 10);
    name[6] = (char)('0' + i % 10);
    json_out_object(&w->o);
    if (w->p != PROTOCOL_MESSAGES)
        json_out_member_str(&w->o, S("type"), S("function"));
    if (w->p == PROTOCOL_CHAT) {
        json_out_name(&w->o, S("function"));
        json_out_object(&w->o);
    }
    json_out_member_str(&w->o, S("name"), str_of(name));
    json_out_member_str(&w->o, S("description"), about);
    json_out_name(&w->o, w->p == PROTOCOL_MESSAGES ? S("input_schema") : S("parameters"));
    write_schema(w);
    if (w->p == PROTOCOL_CHAT)
        json_out_object_end(&w->o);
    json_out_object_end(&w->o);
}

static void begin_request(struct writer *w, struct buf *out)
{
    json_out_init(&w->o, out);
    json_out_object(&w->o);
    json_out_member_str(&w->o, S("model"), S("claude-sonnet-4-5"));
    json_out_member_bool(&w->o, S("stream"), true);
    if (w->p == PROTOCOL_MESSAGES)
        json_out_member_i64(&w->o, S("max_tokens"), 4096);
}

static void begin_messages(struct writer *w)
{
    json_out_name(&w->o, w->p == PROTOCOL_RESPONSES ? S("input") : S("messages"));
    json_out_array(&w->o);
}

static void end_request(struct writer *w)
{
    json_out_array_end(&w->o);
    json_out_object_end(&w->o);
}

static void write_said(struct writer *w, struct str role)
{
    json_out_object(&w->o);
    json_out_member_str(&w->o, S("role"), role);
    json_out_member_str(&w->o, S("content"), buf_str(w->piece));
    json_out_object_end(&w->o);
    buf_truncate(w->piece, 0);
}

/* {"path":..,"text":..} of about this many bytes, in w->piece. */
static void make_arguments(struct writer *w, struct buf *code, size_t bytes)
{
    struct json_out o;
    buf_truncate(code, 0);
    add_code(code, &w->seed, bytes);
    json_out_init(&o, w->piece);
    json_out_object(&o);
    json_out_member_str(&o, S("path"), S("/home/user/project/src/main.c"));
    json_out_member_str(&o, S("text"), buf_str(code));
    json_out_object_end(&o);
}

static void write_call_messages(struct writer *w, struct str id)
{
    json_out_object(&w->o);
    json_out_member_str(&w->o, S("role"), S("assistant"));
    json_out_name(&w->o, S("content"));
    json_out_array(&w->o);
    json_out_raw(&w->o, S("{\"type\":\"text\",\"text\":\"I look at the file.\"}"));
    json_out_object(&w->o);
    json_out_member_str(&w->o, S("type"), S("tool_use"));
    json_out_member_str(&w->o, S("id"), id);
    json_out_member_str(&w->o, S("name"), S("tool_07"));
    json_out_member_raw(&w->o, S("input"), buf_str(w->piece));
    json_out_object_end(&w->o);
    json_out_array_end(&w->o);
    json_out_object_end(&w->o);
}

static void write_call_chat(struct writer *w, struct str id)
{
    json_out_object(&w->o);
    json_out_member_str(&w->o, S("role"), S("assistant"));
    json_out_member_str(&w->o, S("content"), S("I look at the file."));
    json_out_name(&w->o, S("tool_calls"));
    json_out_array(&w->o);
    json_out_object(&w->o);
    json_out_member_str(&w->o, S("id"), id);
    json_out_member_str(&w->o, S("type"), S("function"));
    json_out_name(&w->o, S("function"));
    json_out_object(&w->o);
    json_out_member_str(&w->o, S("name"), S("tool_07"));
    json_out_member_str(&w->o, S("arguments"), buf_str(w->piece));
    json_out_object_end(&w->o);
    json_out_object_end(&w->o);
    json_out_array_end(&w->o);
    json_out_object_end(&w->o);
}

static void write_call_responses(struct writer *w, struct str id)
{
    json_out_object(&w->o);
    json_out_member_str(&w->o, S("type"), S("function_call"));
    json_out_member_str(&w->o, S("call_id"), id);
    json_out_member_str(&w->o, S("name"), S("tool_07"));
    json_out_member_str(&w->o, S("arguments"), buf_str(w->piece));
    json_out_object_end(&w->o);
}

static void write_result(struct writer *w, struct str id)
{
    static const struct {
        struct str kind_name, kind, id_name, text_name;
    } rows[PROTOCOL_COUNT] = {
        { S_INIT("type"), S_INIT("tool_result"), S_INIT("tool_use_id"), S_INIT("content") },
        { S_INIT("role"), S_INIT("tool"), S_INIT("tool_call_id"), S_INIT("content") },
        { S_INIT("type"), S_INIT("function_call_output"), S_INIT("call_id"), S_INIT("output") },
    };
    bool inside = w->p == PROTOCOL_MESSAGES;
    if (inside) {
        json_out_object(&w->o);
        json_out_member_str(&w->o, S("role"), S("user"));
        json_out_name(&w->o, S("content"));
        json_out_array(&w->o);
    }
    json_out_object(&w->o);
    json_out_member_str(&w->o, rows[w->p].kind_name, rows[w->p].kind);
    json_out_member_str(&w->o, rows[w->p].id_name, id);
    json_out_member_str(&w->o, rows[w->p].text_name, buf_str(w->piece));
    json_out_object_end(&w->o);
    if (inside) {
        json_out_array_end(&w->o);
        json_out_object_end(&w->o);
    }
}

static void write_turn(struct writer *w, struct buf *code)
{
    static void (*const calls[PROTOCOL_COUNT])(struct writer *,
                                               struct str) = { write_call_messages, write_call_chat,
                                                               write_call_responses };
    char text[32];
    int n = snprintf(text, sizeof text, "call_%08u", ++w->calls);
    struct str id = { text, (size_t)n };
    add_prose(w->piece, &w->seed, 16 + next_random(&w->seed) % 512);
    write_said(w, S("user"));
    make_arguments(w, code, 16 + next_random(&w->seed) % (PIECE_BYTES_MAX / 2));
    calls[w->p](w, id);
    buf_truncate(w->piece, 0);
    add_code(w->piece, &w->seed, 16 + next_random(&w->seed) % PIECE_BYTES_MAX);
    write_result(w, id);
    buf_truncate(w->piece, 0);
    add_prose(w->piece, &w->seed, 16 + next_random(&w->seed) % 1024);
    write_said(w, S("assistant"));
}

void session_request(enum protocol p, uint64_t seed, size_t bytes, struct buf *out)
{
    struct buf piece, code;
    struct writer w = { .p = p, .piece = &piece, .seed = seed };
    buf_init(&piece, SIZE_MAX);
    buf_init(&code, SIZE_MAX);
    begin_request(&w, out);
    json_out_name(&w.o, S("tools"));
    json_out_array(&w.o);
    for (unsigned i = 0; i < TOOLS; i++)
        write_tool(&w, i);
    json_out_array_end(&w.o);
    begin_messages(&w);
    while (buf_len(out) < bytes)
        write_turn(&w, &code);
    buf_add(&piece, S("Go on."));
    write_said(&w, S("user"));
    end_request(&w);
    buf_done(&piece);
    buf_done(&code);
}

void session_tiny(enum protocol p, size_t messages, struct buf *out)
{
    struct buf piece;
    struct writer w = { .p = p, .piece = &piece };
    buf_init(&piece, SIZE_MAX);
    begin_request(&w, out);
    begin_messages(&w);
    for (size_t i = 0; i < messages; i++) {
        buf_add(&piece, S("hi"));
        write_said(&w, i % 2 == 0 ? S("user") : S("assistant"));
    }
    end_request(&w);
    buf_done(&piece);
}

/* ---- conversions ---- */

struct convert *session_convert(enum protocol client, enum protocol upstream)
{
    struct profile profile;
    struct buf why;
    buf_init(&why, 1000);
    must(profile_resolve(&profile, S("default"), S(""), S("m"), NULL, 0, &why) == 0);
    buf_done(&why);
    return convert_new(&(struct convert_options){ .client = client,
                                                  .upstream = upstream,
                                                  .profile = &profile,
                                                  .upstream_name = S("bench"),
                                                  .reply_id = S("abcdefghijklmnopqrstuvwx"),
                                                  .reply_limit_bytes = 1 << 30 });
}
