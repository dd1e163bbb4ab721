/*
 * profile.h - what an upstream, and a model on it, accepts (protocols.md 0.5).
 *
 * Contract
 *   Rows       profile.def has one row per setting; profiles.def the built-in profiles, chosen by
 *              name or by the upstream's host.  Every setting can be overridden by the
 *              configuration ("chat.max_field: max_tokens").
 *   "auto"     is resolved by profile_resolve() from host and model name, so that readers of
 *              struct profile never see it.
 *   Ownership  texts are static or the configuration's.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "chat.h"
#include "must.h"
#include "str.h"

enum profile_structured { STRUCTURED_NATIVE, STRUCTURED_TOOL, STRUCTURED_NONE };
enum profile_replay { REPLAY_NEVER, REPLAY_TOOL_TURNS, REPLAY_ALWAYS };
enum profile_switch {
    SWITCH_NONE,
    SWITCH_REASONING_EFFORT,
    SWITCH_THINKING_TYPE,
    SWITCH_ENABLE_THINKING,
    SWITCH_TEMPLATE_KWARGS,
    SWITCH_REASONING_OBJECT,
};
enum { /* which members of a Chat reply hold reasoning */
       REASONING_CONTENT = 1,
       REASONING_TEXT = 2,
       REASONING_DETAILS = 4,
};
enum { /* sets of accepted thinking.type values */
       THINKING_ADAPTIVE = 1,
       THINKING_ENABLED = 2,
       THINKING_DISABLED = 4,
       THINKING_BETWEEN_TOOLS = 8,
};

/* Settings for one model on one upstream, all of them decided. */
struct profile {
    struct str name; /* "anthropic", "openai", "deepseek" ... "default" */
    /* Messages upstreams */
    struct str anthropic_version;
    bool anthropic_sampling;
    bool anthropic_one_sampling; /* temperature or top_p, not both */
    unsigned anthropic_thinking; /* set of THINKING_ */
    bool anthropic_thinks_by_default;
    unsigned anthropic_effort; /* set of 1u << CHAT_EFFORT_...; 0: none */
    bool anthropic_mid_system;
    bool anthropic_forced_tool_with_thinking;
    enum profile_structured anthropic_structured;
    bool anthropic_strict_tools;
    int64_t anthropic_default_max_tokens; /* when the client gave no limit */
    int64_t anthropic_max_tokens;         /* the model's maximum; -1 unknown */
    bool anthropic_auto_cache;
    bool anthropic_unsigned_thinking;
    bool anthropic_web_search;
    bool anthropic_fast; /* speed:"fast" */
    /* Chat upstreams */
    bool chat_max_completion_tokens; /* else max_tokens */
    bool chat_developer_role;
    bool chat_system_first_only;
    unsigned chat_reasoning_out; /* set of REASONING_ */
    enum profile_replay chat_reasoning_replay;
    enum profile_switch chat_thinking_switch;
    bool chat_stream_usage;
    bool chat_tool_media;
    bool chat_custom_tools;
    bool chat_json_schema;
    bool chat_strict;
    bool chat_null_content;
    bool chat_parallel;
    bool chat_web_search_options;
    bool chat_think_tags; /* split <think>..</think> off the start of content */
    bool chat_top_k;
    /* Responses upstreams */
    bool responses_include_encrypted;
    bool responses_store;
    struct str responses_summary; /* "auto"; empty: do not send */
    /* both OpenAI protocols */
    unsigned openai_effort; /* set of 1u << CHAT_EFFORT_... */
    bool openai_cache_fields;
    bool openai_reasoning;
    bool openai_sampling;
    bool openai_prompt_user; /* `user` and safety_identifier may be sent */
};

struct profile_override { /* one line of configuration */
    struct str setting;   /* "chat.max_field" */
    struct str value;     /* "max_tokens", "yes", "low,medium,high" */
};

/* name: of a built-in profile, or empty: chosen by host.  host: of the base URL, lower case.
 * -EINVAL and a reason in ret_error for an unknown profile, setting or value. */
int profile_resolve(struct profile *ret, struct str name, struct str host, struct str model,
                    const struct profile_override *overrides, size_t override_count,
                    struct buf *ret_error) MUST_CHECK;
bool profile_exists(struct str name);
/* A setting's name and value are known; for checking a configuration. */
int profile_check(const struct profile_override *o, struct buf *ret_error) MUST_CHECK;

/* The nearest accepted effort at or below e, else the lowest accepted; CHAT_EFFORT_ABSENT when
 * the set is empty.  NONE is never the nearest of another. */
enum chat_effort effort_nearest(unsigned accepted, enum chat_effort e);
struct str effort_name(enum chat_effort e);  /* "low"; empty when absent */
enum chat_effort effort_of(struct str name); /* CHAT_EFFORT_COUNT when unknown */

#endif
