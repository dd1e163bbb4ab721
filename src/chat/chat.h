/*
 * chat.h - the neutral form of a request: a conversation, its tools and its settings.
 *
 * Each protocol's decoder makes it, each protocol's encoder writes it; nothing is converted in
 * pairs.  Words: docs/protocols of the vendors, and protocols.md parts A and C.
 *
 * Contract
 *   Ownership  everything lives in the arena of the conversion (struct convert) or is a slice of
 *              the client's body, which outlives it.
 *   Texts      struct text: escaped, copied as it is.  struct str: plain bytes (ids, names), or,
 *              where it says "raw", one JSON value as text.
 *   Absent     the empty str or text, -1, NULL, or the enumerator that ends in _ABSENT.  A member
 *              that is null in the client's request is absent.
 *   Order      lists are in the order of the conversation.
 */
#ifndef CHAT_H
#define CHAT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"
#include "str.h"
#include "text.h"

/* ---- blocks ---- */

enum chat_block_kind {
    CHAT_TEXT,
    CHAT_IMAGE,
    CHAT_FILE, /* documents, PDF, any other file */
    CHAT_REASONING,
    CHAT_CALL,
    CHAT_RESULT,
    CHAT_REFUSAL, /* assistant: text */
};

enum chat_cache { CHAT_CACHE_NONE, CHAT_CACHE_SHORT /* 5m */, CHAT_CACHE_LONG /* 1h */ };

enum chat_media_source {
    CHAT_MEDIA_BASE64,  /* payload: base64 text; type known or empty */
    CHAT_MEDIA_URL,     /* payload: http(s) URL (never a data URL) */
    CHAT_MEDIA_FILE_ID, /* payload: a vendor's file id */
    CHAT_MEDIA_PLAIN,   /* payload: the text of a text document */
};

struct chat_media {
    enum chat_media_source source;
    struct str type; /* media type, lower case; may be empty */
    struct text payload;
    struct text name;    /* file name or title */
    struct text context; /* Messages documents */
    struct str detail;   /* images: auto, low, high, original */
    struct str path;     /* where it stands in the client's request: messages.0.content.1 */
};

/* Who made an opaque proof of reasoning (protocols.md 0.7). */
enum chat_proof_kind {
    CHAT_PROOF_NONE,
    CHAT_PROOF_THINKING, /* Messages: thinking text + signature */
    CHAT_PROOF_REDACTED, /* Messages: data */
    CHAT_PROOF_ITEM,     /* Responses: a whole reasoning item */
    CHAT_PROOF_DETAILS,  /* Chat: reasoning_details, or only that the text came from there */
};

struct chat_proof {
    enum chat_proof_kind kind;
    bool enveloped;       /* upstream and model are known; else it came as the maker's own form */
    struct str upstream;  /* who made it */
    struct text thinking; /* THINKING: the exact text */
    struct text opaque;   /* THINKING: signature; REDACTED: data; ITEM: encrypted_content */
    struct str raw;       /* ITEM: the item, raw; DETAILS: the array, raw, may be empty */
};

struct chat_reasoning {
    struct text text; /* what a person may read; may be empty */
    struct chat_proof proof;
};

/* What executes a call, and which item of Responses it is. */
enum chat_tool_kind {
    CHAT_TOOL_FUNCTION,
    CHAT_TOOL_CUSTOM, /* free text instead of JSON */
    CHAT_TOOL_LOCAL_SHELL,
    CHAT_TOOL_SHELL,
    CHAT_TOOL_APPLY_PATCH,
    CHAT_TOOL_SEARCH,     /* tool_search, executed by the client */
    CHAT_TOOL_WEB_SEARCH, /* run by the vendor; only in lists of tools */
    CHAT_TOOL_KIND_COUNT
};

struct chat_call {
    struct str id;    /* as the client sent it, then as the upstream gets it (turns.h) */
    struct str name;  /* likewise (tools.h) */
    struct str space; /* Responses: namespace; empty after tools_name_calls() */
    enum chat_tool_kind kind;
    struct str arguments; /* plain: JSON as the client sent it, perhaps invalid; CUSTOM: free
                           * text; SHELL and the like: an object of the fixed schema */
    bool legacy;          /* Chat: function_call */
};

struct chat_block;

struct chat_result {
    struct str call_id;
    struct str name;          /* legacy Chat results are found by name */
    enum chat_tool_kind kind; /* of the call; set by turns.h */
    bool is_error;
    bool is_string;            /* the content was a plain string: one CHAT_TEXT, kept a string */
    bool is_parts;             /* Chat: it was a list of parts, and texts alone stay one */
    struct chat_block *blocks; /* CHAT_TEXT, CHAT_IMAGE, CHAT_FILE */
};

/* chat_new_block() makes no more of it than its kind has: it is not copied as a whole. */
struct chat_block {
    struct chat_block *next;
    enum chat_block_kind kind;
    enum chat_cache cache;
    union {
        struct text text; /* TEXT, REFUSAL */
        struct chat_media media;
        struct chat_reasoning reasoning;
        struct chat_call call;
        struct chat_result result;
    };
};

/* ---- messages ---- */

enum chat_role {
    CHAT_SYSTEM,
    CHAT_DEVELOPER,
    CHAT_USER,
    CHAT_ASSISTANT,
    CHAT_TOOL, /* results only; after turns_normalize() right behind the calls they answer */
};

struct chat_message {
    struct chat_message *next;
    enum chat_role role;
    bool is_string;    /* the content was one plain string */
    bool instructions; /* SYSTEM: Messages' `system`, Responses' `instructions` */
    struct chat_block *blocks, *last;
};

/* ---- tools ---- */

enum chat_tri { CHAT_ABSENT = -1, CHAT_FALSE = 0, CHAT_TRUE = 1 };

struct chat_tool {
    struct chat_tool *next;
    enum chat_tool_kind kind;
    struct str name;          /* as the client calls it, without namespace */
    struct str space;         /* Responses: namespace */
    struct str upstream_name; /* set by tools_prepare() */
    struct text description;
    struct str schema; /* raw; empty: none given */
    enum chat_tri strict;
    enum chat_cache cache;
    struct str grammar_syntax; /* CUSTOM: lark, regex; empty: free text */
    struct text grammar;
    /* WEB_SEARCH, all raw */
    struct str allowed_domains, blocked_domains, user_location, max_uses, context_size;
};

enum chat_choice {
    CHAT_CHOICE_ABSENT,
    CHAT_CHOICE_AUTO,
    CHAT_CHOICE_ANY,
    CHAT_CHOICE_NONE,
    CHAT_CHOICE_TOOL
};

struct chat_tool_choice {
    enum chat_choice kind;
    enum chat_tool_kind tool_kind;
    struct str name, space; /* TOOL; name becomes the upstream's by tools_prepare() */
    struct str type;        /* of a choice that forces a tool we do not know: its type */
    bool has_allowed;       /* allowed_tools: only these, `kind` among them */
    struct str *allowed;    /* names; "space\0name" joined by "__" as tools.h does */
    uint32_t allowed_count;
    bool no_parallel;    /* parallel calls are forbidden */
    bool parallel_given; /* the client said something about them */
};

/* ---- settings ---- */

enum chat_thinking {
    CHAT_THINKING_ABSENT,
    CHAT_THINKING_DISABLED,
    CHAT_THINKING_ADAPTIVE,
    CHAT_THINKING_BUDGET,
    CHAT_THINKING_BETWEEN_TOOLS,
};

enum chat_effort { /* in this order: "nearest lower" counts on it */
                   CHAT_EFFORT_ABSENT,
                   CHAT_EFFORT_NONE,
                   CHAT_EFFORT_MINIMAL,
                   CHAT_EFFORT_LOW,
                   CHAT_EFFORT_MEDIUM,
                   CHAT_EFFORT_HIGH,
                   CHAT_EFFORT_XHIGH,
                   CHAT_EFFORT_MAX,
                   CHAT_EFFORT_COUNT
};

/* What the client asked for; profile.h turns it into what the model takes. */
struct chat_reasoning_ask {
    enum chat_thinking thinking; /* Messages only */
    int64_t budget_tokens;       /* BUDGET */
    enum chat_effort effort;
    bool display_omitted; /* Messages: thinking.display */
    struct str summary;   /* Responses: reasoning.summary; empty: absent or null */
};

enum chat_format { CHAT_FORMAT_TEXT, CHAT_FORMAT_JSON_OBJECT, CHAT_FORMAT_JSON_SCHEMA };

struct chat_output_format {
    enum chat_format kind; /* TEXT when absent too */
    struct text name, description;
    struct str schema; /* raw */
    enum chat_tri strict;
};

/* Scalars: one row of params.def each. */
enum chat_param {
#define PARAM(id, type, a, c, r, ac, ar, ca, cr, ra, rc) CHAT_PARAM_##id,
#include "params.def"
#undef PARAM
    CHAT_PARAM_COUNT
};

struct chat_request {
    struct chat_message *messages, *last;
    uint32_t message_count;
    struct chat_tool *tools, *last_tool;
    bool tools_lost; /* the client declared one that is left out */
    struct chat_tool_choice choice;
    struct chat_reasoning_ask reasoning;
    struct chat_output_format format;
    int64_t max_tokens; /* -1: absent */
    struct text *stop;
    uint32_t stop_count;
    bool stream;
    bool include_usage;    /* Chat: stream_options.include_usage */
    bool legacy_functions; /* Chat: `functions` and no `tools` */
    bool wants_logprobs;
    struct text user_id;                        /* whoever the request is made for */
    struct text safety_identifier;              /* C, R */
    struct text session;                        /* of Messages' metadata.user_id; empty: none */
    struct json_node *params[CHAT_PARAM_COUNT]; /* of the client's body; NULL: absent */
};

#endif
