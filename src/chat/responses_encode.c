/* An upstream's Responses request: its settings.  Items and tools have their own files. */
#include "codec.h"

#include "hash.h"
#include "params.h"
#include "reasoning.h"
#include "responses_request.h"
#include "schema.h"

enum {
    OUTPUT_TOKENS_MIN = 16,
    SAFETY_IDENTIFIER_MAX = 128, /* characters */
};

/* The client's own member goes up as it is: params_encode() writes it. */
static bool passed(const struct convert *c, enum chat_param p)
{
    return params_node(c, p) != NULL &&
           params_fate(p, c->options.client, c->options.upstream) == FATE_PASS;
}

static int write_limit(struct convert *c, struct json_out *o)
{
    int64_t n;
    int r = reasoning_max_tokens(c, &n);
    if (r < 0 || n < 0 || c->options.count_only)
        return r;
    if (n < OUTPUT_TOKENS_MIN) {
        enum chat_param p = params_node(c, CHAT_PARAM_MAX_COMPLETION) != NULL
                                ? CHAT_PARAM_MAX_COMPLETION
                                : CHAT_PARAM_MAX_TOKENS;
        n = OUTPUT_TOKENS_MIN;
        r = convert_warn(c, "clamped", params_name(p, c->options.client));
    }
    json_out_member_i64(o, S("max_output_tokens"), n);
    return r;
}

static int write_reasoning(struct convert *c, struct json_out *o)
{
    enum chat_effort effort;
    int r = reasoning_for_openai(c, &effort);
    if (r < 0 || effort == CHAT_EFFORT_ABSENT)
        return r;
    struct str summary = c->request.reasoning.summary;
    if (summary.n == 0 && !c->request.reasoning.display_omitted)
        summary = c->profile.responses_summary;
    json_out_name(o, S("reasoning"));
    json_out_object(o);
    json_out_member_str(o, S("effort"), effort_name(effort));
    if (summary.n > 0)
        json_out_member_str(o, S("summary"), summary);
    json_out_object_end(o);
    return 0;
}

/* strict is always said: left out, the vendor tries it by itself. */
static void write_schema(struct convert *c, struct json_out *o, const struct chat_output_format *f)
{
    struct str schema = f->schema.n > 0 ? json_compact(c->temp, f->schema)
                                        : S("{\"type\":\"object\",\"properties\":{}}");
    bool strict =
        f->strict == CHAT_ABSENT ? schema_is_strict(c->temp, schema) : f->strict == CHAT_TRUE;
    json_out_member_str(o, S("type"), S("json_schema"));
    json_out_member_text(o, S("name"), f->name.n > 0 ? f->name : TEXT("output"));
    if (f->description.n > 0)
        json_out_member_text(o, S("description"), f->description);
    json_out_member_raw(o, S("schema"), schema);
    json_out_member_bool(o, S("strict"), strict);
}

static void write_text(struct convert *c, struct json_out *o)
{
    const struct chat_output_format *f = &c->request.format;
    struct text verbosity = params_text(c, CHAT_PARAM_VERBOSITY);
    if (f->kind == CHAT_FORMAT_TEXT && verbosity.n == 0)
        return;
    json_out_name(o, S("text"));
    json_out_object(o);
    if (f->kind != CHAT_FORMAT_TEXT) {
        json_out_name(o, S("format"));
        json_out_object(o);
        if (f->kind == CHAT_FORMAT_JSON_SCHEMA)
            write_schema(c, o, f);
        else
            json_out_member_str(o, S("type"), S("json_object"));
        json_out_object_end(o);
    }
    if (verbosity.n > 0)
        json_out_member_text(o, S("verbosity"), verbosity);
    json_out_object_end(o);
}

static int write_sampling(struct convert *c, struct json_out *o)
{
    struct reasoning_sampling sampling;
    if (passed(c, CHAT_PARAM_TEMPERATURE) || passed(c, CHAT_PARAM_TOP_P))
        return 0;
    int r = reasoning_sampling(c, false, &sampling);
    if (r < 0)
        return r;
    if (sampling.temperature.n > 0)
        json_out_member_raw(o, S("temperature"), sampling.temperature);
    if (sampling.top_p.n > 0)
        json_out_member_raw(o, S("top_p"), sampling.top_p);
    return 0;
}

/* An id that is too long for its member becomes its SHA-256 (C1.14). */
static struct text short_id(struct convert *c, struct text id, size_t limit_chars)
{
    if (text_chars(id) <= limit_chars)
        return id;
    struct str hash = hash_text(c->temp, text_plain(c->temp, id));
    return (struct text){ hash.p, hash.n };
}

static void write_identity(struct convert *c, struct json_out *o)
{
    const struct chat_request *q = &c->request;
    bool said = passed(c, CHAT_PARAM_USER) || passed(c, CHAT_PARAM_SAFETY_IDENTIFIER);
    if (q->user_id.n > 0 && !said && c->profile.openai_prompt_user)
        json_out_member_text(o, S("safety_identifier"),
                             short_id(c, q->user_id, SAFETY_IDENTIFIER_MAX));
    if (q->session.n > 0 && !passed(c, CHAT_PARAM_CACHE_KEY) && c->profile.openai_cache_fields)
        json_out_member_text(o, S("prompt_cache_key"), q->session);
}

/* Messages' two members in OpenAI's words; OpenAI's own word stays. */
static void write_tier(struct convert *c, struct json_out *o)
{
    struct str tier = params_str(c, CHAT_PARAM_SERVICE_TIER);
    if (params_name(CHAT_PARAM_SPEED, c->options.client).n > 0) {
        bool standard = str_eq(tier, S("standard_only"));
        bool fast = str_eq(params_str(c, CHAT_PARAM_SPEED), S("fast"));
        tier = fast ? S("priority") : standard ? S("default") : S("");
    }
    if (tier.n > 0)
        json_out_member_str(o, S("service_tier"), tier);
}

static void write_include(struct convert *c, struct json_out *o)
{
    bool proofs = c->profile.responses_include_encrypted && c->profile.openai_reasoning;
    if (!proofs && !c->request.wants_logprobs)
        return;
    json_out_name(o, S("include"));
    json_out_array(o);
    if (proofs)
        json_out_str(o, S("reasoning.encrypted_content"));
    if (c->request.wants_logprobs)
        json_out_str(o, S("message.output_text.logprobs"));
    json_out_array_end(o);
}

/* Counting takes none of these. */
static void write_delivery(struct convert *c, struct json_out *o)
{
    if (c->options.count_only)
        return;
    write_tier(c, o);
    write_identity(c, o);
    if (!passed(c, CHAT_PARAM_STORE))
        json_out_member_bool(o, S("store"), c->profile.responses_store);
    write_include(c, o);
    if (c->asks_stream)
        json_out_member_bool(o, S("stream"), true);
}

int responses_encode_request(struct convert *c, struct json_out *o)
{
    json_out_object(o);
    json_out_member_str(o, S("model"), c->model_sent);
    int r = responses_write_input(c, o);
    if (r == 0)
        r = write_limit(c, o);
    if (r == 0)
        r = responses_write_tools(c, o);
    if (r == 0)
        r = write_reasoning(c, o);
    if (r < 0)
        return r;
    write_text(c, o);
    r = write_sampling(c, o);
    params_encode(c, o);
    write_delivery(c, o);
    json_out_object_end(o);
    return r;
}
