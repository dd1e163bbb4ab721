/* Contents of messages and results: strings, and arrays of parts. */
#include "responses_request.h"

#include "json.h"
#include "media.h"
#include "member.h"

/* One part, and where it stands. */
struct part {
    struct json_node *node;
    struct str list; /* path of the array */
    int64_t index;
};

static struct str part_path(struct convert *c, const struct part *p, struct str name)
{
    return chat_path(c, p->list, p->index, name);
}

static struct chat_block *add_block(struct convert *c, struct responses_content *to,
                                    enum chat_block_kind kind)
{
    struct chat_block *b = chat_new_block(c, kind);
    if (to->last == NULL)
        to->first = b;
    else
        to->last->next = b;
    to->last = b;
    return b;
}

static enum chat_cache cache_mark(struct convert *c, struct json_node *part)
{
    struct json_node *mark = member_node(c, part, S("prompt_cache_breakpoint"));
    if (!member_is(c, mark, S("mode"), S("explicit")))
        return CHAT_CACHE_NONE;
    return member_is(c, mark, S("ttl"), S("12h")) ? CHAT_CACHE_LONG : CHAT_CACHE_SHORT;
}

static int read_text(struct convert *c, const struct part *p, struct str name,
                     enum chat_block_kind kind, struct responses_content *to)
{
    struct json_node *text;
    int r = member_need(c, p->node, name, JSON_STRING, part_path(c, p, S("")), &text);
    if (r < 0)
        return r;
    struct chat_block *b = add_block(c, to, kind);
    b->text = text_of(&c->doc, c->temp, text);
    b->cache = cache_mark(c, p->node);
    return 0;
}

/* An image may come as a file, by its bytes. */
static int read_media(struct convert *c, const struct part *p, bool as_image,
                      struct responses_content *to)
{
    struct text bytes = as_image ? (struct text){ 0 } : member_text(c, p->node, S("file_data"));
    struct text url = member_text(c, p->node, as_image ? S("image_url") : S("file_url"));
    struct chat_media media = {
        .source = CHAT_MEDIA_FILE_ID,
        .payload = member_text(c, p->node, S("file_id")),
        .path = part_path(c, p, S("")),
    };
    if (as_image)
        media.detail = member_str(c, p->node, S("detail"));
    else
        media.name = member_text(c, p->node, S("filename"));
    int r = 0;
    if (bytes.n > 0)
        r = media_of_file_data(c, &media, bytes);
    else if (url.n > 0)
        r = media_of_url(c, &media, url);
    else if (media.payload.n == 0)
        r = convert_reject(c, media.path, "holds no image or file");
    if (r < 0)
        return r;
    as_image = as_image || (media.source == CHAT_MEDIA_BASE64 && media_is_image(&media));
    struct chat_block *b = add_block(c, to, as_image ? CHAT_IMAGE : CHAT_FILE);
    b->media = media;
    b->cache = cache_mark(c, p->node);
    return 0;
}

static bool is_text_type(struct str type)
{
    return str_eq(type, S("input_text")) || str_eq(type, S("output_text")) ||
           str_eq(type, S("text"));
}

static int read_part(struct convert *c, const struct part *p, unsigned takes,
                     struct responses_content *to)
{
    if (json_type(p->node) == JSON_STRING) {
        add_block(c, to, CHAT_TEXT)->text = text_of(&c->doc, c->temp, p->node);
        return 0;
    }
    struct str type = member_str(c, p->node, S("type"));
    if (is_text_type(type))
        return read_text(c, p, S("text"), CHAT_TEXT, to);
    if ((takes & RESPONSES_REFUSAL) != 0 && str_eq(type, S("refusal")))
        return read_text(c, p, S("refusal"), CHAT_REFUSAL, to);
    if ((takes & RESPONSES_MEDIA) != 0 && str_eq(type, S("input_image")))
        return read_media(c, p, true, to);
    if ((takes & RESPONSES_MEDIA) != 0 && str_eq(type, S("input_file")))
        return read_media(c, p, false, to);
    return convert_reject(c, part_path(c, p, S("type")),
                          "a part of type \"" STR_FMT "\" cannot stand here",
                          STR_ARG(str_slice(type, 0, 64)));
}

static int read_parts(struct convert *c, struct json_node *array, struct str path, unsigned takes,
                      struct responses_content *to)
{
    int r = 0;
    struct part p = { .list = path };
    struct json_walk w;
    member_walk(c, array, &w);
    for (; r == 0 && (p.node = json_walk_next(&w)) != NULL; p.index++)
        r = read_part(c, &p, takes, to);
    json_walk_done(&w);
    return r;
}

int responses_read_content(struct convert *c, struct json_node *content, struct str path,
                           unsigned takes, struct responses_content *ret)
{
    *ret = (struct responses_content){ .is_string = true };
    if (content != NULL && json_type(content) == JSON_ARRAY) {
        ret->is_string = false;
        return read_parts(c, content, path, takes, ret);
    }
    if (content != NULL && json_type(content) != JSON_STRING)
        return convert_reject(c, path, "must be a string or an array");
    add_block(c, ret, CHAT_TEXT)->text = text_of(&c->doc, c->temp, content);
    return 0;
}

/* Every element must be a part: else it is a tool's own JSON, which stays text. */
static bool all_parts(yyjson_val *array)
{
    size_t i, count;
    yyjson_val *part;
    yyjson_arr_foreach(array, i, count, part)
    {
        struct str type = json_member_str(part, S("type"));
        if (!str_eq(type, S("input_text")) && !str_eq(type, S("input_image")) &&
            !str_eq(type, S("input_file")))
            return false;
    }
    return yyjson_arr_size(array) > 0;
}

static bool holds_parts(struct str inner)
{
    yyjson_doc *doc;
    if (!str_starts(inner, S("[")) || !str_contains(inner, S("\"input_")) ||
        json_parse(inner, &doc, NULL) < 0)
        return false;
    bool holds = all_parts(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return holds;
}

/* c->doc is the inner document meanwhile; what it gives lives in the same arena. */
static int read_inner(struct convert *c, struct str inner, struct str path,
                      struct responses_content *ret)
{
    struct json_edit outer = c->doc;
    json_edit_init(&c->doc, c->temp, inner);
    *ret = (struct responses_content){ .is_string = false };
    int r = read_parts(c, json_root(&c->doc), path, RESPONSES_TEXT | RESPONSES_MEDIA, ret);
    c->doc = outer;
    return r;
}

int responses_read_output(struct convert *c, struct json_node *output, struct str path,
                          struct responses_content *ret)
{
    struct str inside = text_inside(&c->doc, output), inner = S("");
    /* outputs are long, and few begin so: those need no plain copy */
    if (text_starts(text_trim_start((struct text){ inside.p, inside.n }), S("[")))
        inner = str_trim(json_string(&c->doc, output));
    if (holds_parts(inner))
        return read_inner(c, inner, path, ret);
    return responses_read_content(c, output, path, RESPONSES_TEXT | RESPONSES_MEDIA, ret);
}
