/*
 * Rules files: the first byte chooses JSON or YAML, the rest is the file.
 * Invariants: a refused file comes with a message that names it; an accepted one can be
 * applied to every sample body, the result is JSON, and its bytes are the original when
 * no change was told.
 */
#include <stddef.h>
#include <stdint.h>

#include "adapter.h"
#include "adapter_set.h"
#include "json.h"

static const char *const bodies[] = {
    "{\"model\":\"m\",\"max_tokens\":2000,\"temperature\":0.5,\"top_p\":1.0,\"stream\":null,"
    "\"system\":\"You "
    "are\",\"thinking\":{\"enabled\":true},\"metadata\":null,\"messages\":[{\"role\":"
    "\"user\",\"content\":\"hi\"},{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":"
    "\"a\"}]}]}",
    "{ \"input\" : [\"x\", {\"role\":\"user\",\"content\":\"hi\"}], "
    "\"reasoning\":{},\"store\":false,"
    "\"tools\":[{\"type\":\"function\",\"name\":\"f\"}], \"a\":{\"b\":[1,{\"c\":[2]}]} }",
    "{\"messages\":[{\"role\":\"assistant\",\"content\":[],\"tool_calls\":[1]}],\"tools\":[{"
    "\"type\":"
    "\"custom\",\"name\":\"p\",\"format\":{\"type\":\"grammar\",\"x\":1}}],\"thinking_budget\":"
    "8192}",
    "{}",
};

static struct config config;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char *const no_environment[] = { NULL };
    struct buf error;
    (void)argc, (void)argv;
    buf_init(&error, 1024);
    must(config_load(&config, NULL, false, no_environment, NULL, 0, &error) == 0);
    must(config_set(&config, S("CODEX_ENV_CONTEXT"), S("on"), &error) == 0);
    buf_done(&error);
    return 0;
}

static void apply_one(const struct adapter_set *set, const struct adapter *a, struct str body,
                      enum protocol p)
{
    struct arena arena;
    struct http_headers headers = { NULL, 0, 0 };
    struct json_edit edit;
    enum adapter_reason reason;
    yyjson_doc *doc;
    arena_init(&arena, 1 << 28);
    json_edit_init(&edit, &arena, body);
    http_add(&headers, &arena, S("user-agent"), S("a/1 b"));
    http_add(&headers, &arena, S("x-a"), S("1, 2"));
    struct adapter_request r = { .arena = &arena,
                                 .protocol = p,
                                 .upstream_protocol = p,
                                 .path = S("/v1/messages"),
                                 .headers = &headers,
                                 .edit = &edit,
                                 .credential = S("k"),
                                 .session_secret = S("s") };
    must(adapter_select(set, &r, &reason) != NULL);
    must(adapter_reason_name(reason) != NULL);
    adapter_apply(set, a, &r);
    struct str text = json_edit_text(&edit);
    must(json_parse(text, &doc, NULL) == 0);
    must(yyjson_is_obj(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    if (r.changes_n == 0)
        must(str_eq(text, body));
    arena_done(&arena);
}

static void apply_all(const struct adapter_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        for (size_t b = 0; b < ARRAY_LEN(bodies) && !set->v[i]->builtin; b++)
            for (int p = 0; p < PROTOCOL_COUNT; p++)
                apply_one(set, set->v[i], str_of(bodies[b]), (enum protocol)p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct adapter_set *set = NULL;
    struct buf error;
    if (size == 0)
        return 0;
    struct str path = data[0] % 2 == 0 ? S("f.json") : S("f.yaml");
    struct str text = { (const char *)data + 1, size - 1 };
    buf_init(&error, 1 << 16);
    int e = adapters_parse(&config, path, text, &set, &error);
    must((e < 0) == (buf_len(&error) > 0));
    must(e == 0 || str_starts(buf_str(&error), path));
    must((e == 0) == (set != NULL));
    if (e == 0)
        apply_all(set);
    adapters_free(set);
    buf_done(&error);
    return 0;
}
