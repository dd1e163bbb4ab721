/*
 * Checks: what is read from a Responses client is a sane neutral form, whatever was sent; what an
 * upstream of Responses gets, or what another gets from a Responses client, is one JSON object,
 * the same one each time.
 * The first byte of the input chooses the pair and the options.
 */
#include <stddef.h>
#include <stdint.h>

#include "../tests/unit/request_read.h"
#include "body_check.h"
#include "codec.h"
#include "convert.h"
#include "err.h"

static struct profile profile;

static void resolve_profile(enum protocol upstream)
{
    struct buf error;
    buf_init(&error, 4096);
    must(profile_resolve(&profile, upstream == PROTOCOL_MESSAGES ? S("anthropic") : S("openai"),
                         S(""), S("m"), NULL, 0, &error) == 0);
    buf_done(&error);
}

static struct convert *new_convert(enum protocol client, enum protocol upstream, unsigned options)
{
    struct convert_options o = {
        .client = client,
        .upstream = upstream,
        .profile = &profile,
        .upstream_name = S("u1"),
        .same_vendor = options & 1,
        .strict = options & 2,
        .count_only = options & 4,
        .drop_reasoning = options & 8,
        .reply_limit_bytes = 1 << 20,
    };
    return convert_new(&o);
}

/* ---- the neutral form ---- */

static void check_string(struct text t)
{
    struct buf quoted;
    yyjson_doc *doc;
    buf_init(&quoted, SIZE_MAX);
    buf_add_byte(&quoted, '"');
    text_add(&quoted, t);
    buf_add_byte(&quoted, '"');
    must(json_parse(buf_str(&quoted), &doc, NULL) == 0);
    yyjson_doc_free(doc);
    buf_done(&quoted);
}

static void check_media(const struct chat_media *m)
{
    must(m->path.n > 0);
    must(m->payload.n > 0 || m->source == CHAT_MEDIA_BASE64 || m->source == CHAT_MEDIA_PLAIN);
    check_string(m->payload);
    check_string(m->name);
}

static void check_blocks(const struct chat_block *first, enum chat_role role, bool in_result)
{
    for (const struct chat_block *b = first; b != NULL; b = b->next) {
        switch (b->kind) {
        case CHAT_REFUSAL:
            must(role == CHAT_ASSISTANT);
            check_string(b->text);
            break;
        case CHAT_TEXT:
            check_string(b->text);
            break;
        case CHAT_IMAGE:
        case CHAT_FILE:
            must(role == CHAT_USER || in_result);
            check_media(&b->media);
            break;
        case CHAT_REASONING:
            must(role == CHAT_ASSISTANT);
            check_string(b->reasoning.text);
            break;
        case CHAT_CALL:
            must(role == CHAT_ASSISTANT);
            must(b->call.name.n > 0);
            break;
        case CHAT_RESULT:
            must(role == CHAT_TOOL && !in_result);
            must(!b->result.is_string ||
                 (b->result.blocks != NULL && b->result.blocks->next == NULL));
            check_blocks(b->result.blocks, role, true);
            break;
        }
    }
}

static void check_request(const struct chat_request *q)
{
    uint32_t count = 0;
    const struct chat_message *last = NULL;
    for (const struct chat_message *m = q->messages; m != NULL; m = m->next) {
        const struct chat_block *last_block = NULL;
        check_blocks(m->blocks, m->role, false);
        for (const struct chat_block *b = m->blocks; b != NULL; b = b->next)
            last_block = b;
        must(m->last == last_block);
        must(!m->is_string || (m->blocks != NULL && m->blocks == m->last));
        last = m;
        count++;
    }
    must(q->last == last && q->message_count == count);
    for (const struct chat_tool *t = q->tools; t != NULL; t = t->next)
        must(t->name.n > 0);
}

static void decode(struct str body, enum protocol upstream, unsigned options)
{
    struct arena work;
    struct convert *c = new_convert(PROTOCOL_RESPONSES, upstream, options);
    arena_init(&work, SIZE_MAX);
    int r = request_read(c, &work, body);
    must(r == 0 || r == E_BAD_REQUEST || r == E_BAD_JSON);
    must(r == 0 || convert_error(c).n > 0);
    if (r == 0)
        check_request(&c->request);
    convert_free(c);
    arena_done(&work);
}

/* ---- the whole way ---- */

static int convert(struct str body, enum protocol client, enum protocol upstream, unsigned options,
                   struct buf *out)
{
    struct arena work;
    struct convert *c = new_convert(client, upstream, options);
    arena_init(&work, SIZE_MAX);
    int r = convert_request(c, &work, body, out);
    must(r == 0 || convert_error(c).n > 0);
    must(convert_warnings(c).n <= 1024);
    arena_done(&work);
    convert_free(c);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const enum protocol pairs[][2] = {
        { PROTOCOL_RESPONSES, PROTOCOL_MESSAGES },
        { PROTOCOL_RESPONSES, PROTOCOL_CHAT },
        { PROTOCOL_MESSAGES, PROTOCOL_RESPONSES },
        { PROTOCOL_CHAT, PROTOCOL_RESPONSES },
    };
    if (n == 0)
        return 0;
    enum protocol client = pairs[bytes[0] & 3][0], upstream = pairs[bytes[0] & 3][1];
    unsigned options = bytes[0] >> 2 & 15;
    struct str body = { (const char *)bytes + 1, n - 1 };
    struct buf once, twice;
    buf_init(&once, SIZE_MAX);
    buf_init(&twice, SIZE_MAX);
    resolve_profile(upstream);

    if (client == PROTOCOL_RESPONSES)
        decode(body, upstream, options);
    int r = convert(body, client, upstream, options, &once);
    must(convert(body, client, upstream, options, &twice) == r);
    must(r == 0 || r == E_BAD_REQUEST || r == E_BAD_JSON);
    if (r == 0) {
        must(str_eq(buf_str(&once), buf_str(&twice)));
        body_check(buf_str(&once));
    }
    buf_done(&once);
    buf_done(&twice);
    return 0;
}
